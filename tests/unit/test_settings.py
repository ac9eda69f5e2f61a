"""The settings of a stack: what the defaults are, and what is said of mistakes in them."""

from __future__ import annotations

import asyncio
import contextvars
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pulumi.runtime import set_all_config
from pydantic import ValidationError

from components.core import project, settings, versions
from components.core.errors import LabError

if TYPE_CHECKING:
    from components.core.settings import Settings

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parents[2]
GITHUB = "https://github.com/me/iot"
HUNDRED = "a" * 100


def load(stack: str = "p3", secret: tuple[str, ...] = (), **changed: Any) -> Settings:  # noqa: ANN401 - any setting
    """Return the settings of a stack with some of them changed; those named in ``secret`` are kept as secrets."""
    config = project.stack_config(stack, ROOT, changed)

    async def read() -> Settings:
        set_all_config(config, [f"iot:{key}" for key in secret])
        try:
            return project.settings(stack, ROOT)
        finally:
            # A secret setting is an Output, and an Output is tasks.
            await asyncio.gather(*asyncio.all_tasks() - {asyncio.current_task()})

    return contextvars.Context().run(asyncio.run, read())


def mistakes(*, stack: str = "p3", secret: tuple[str, ...] = (), **changed: Any) -> str:  # noqa: ANN401 - any setting
    with pytest.raises(LabError) as caught:
        load(stack, secret, **changed)
    return str(caught.value)


# --- good ones -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", ["p1", "p2", "p3"])
def test_every_stack_is_valid_as_it_comes(stack: str) -> None:
    assert load(stack).part == stack


def test_p3_comes_with_the_ports_and_names_of_the_subject() -> None:
    found = load()

    assert found.cluster.name == "iot-cluster"
    assert (found.cluster.servers, found.cluster.agents) == (1, 0)
    assert found.cluster.image == versions.K3S_IMAGE
    assert found.cluster.bind_address == "127.0.0.1"
    assert found.cluster.kubeconfig is None
    assert (found.app_port.node_port, found.app_port.host_ports) == (30001, (8888, 30001))
    assert (found.argocd_port.node_port, found.argocd_port.host_ports) == (30002, (8080, 30002))
    assert (found.git.ports, found.git.restore) == ((30003,), True)
    assert (found.git.url, found.git.revision, found.git.path) == (None, "main", "manifests/p3")
    assert (found.image.reference, found.image.repository) == (None, versions.APP_REPOSITORY)
    assert (found.timeout, found.poll_interval) == (600, 30)


def test_p2_comes_with_the_three_apps_of_the_subject() -> None:
    found = load("p2")

    assert [(app.name, app.host, app.replicas) for app in found.apps] == [
        ("app1", "app1.com", 1),
        ("app2", "app2.com", 3),
        ("app3", "app3.com", 1),
    ]
    assert found.default_app == "app3"


def test_p1_comes_with_the_machines_of_the_subject() -> None:
    machines = load("p1").machines

    assert (machines.server_address, machines.agents, machines.agent_address(1)) == (
        "192.168.56.110",
        1,
        "192.168.56.111",
    )
    assert (machines.server_cpus, machines.server_memory) == (1, 1024)


def test_a_stack_of_any_name_can_be_a_part() -> None:
    assert load("mine", part="p3").part == "p3"


def test_settings_can_not_be_changed_once_they_are_read() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().timeout = 5  # type: ignore[misc] # that is what is tried


@pytest.mark.parametrize(
    ("reference", "repository"),
    [
        ("broly20/flask-app-p3:v2", "broly20/flask-app-p3"),
        ("registry.example:5000/team/app:1.0", "registry.example:5000/team/app"),
        ("localhost:5000/app:v1", "localhost:5000/app"),
        ("python:3.13-slim", "python"),
    ],
)
def test_an_image_is_split_at_its_tag(reference: str, repository: str) -> None:
    assert load(appImage=reference).image.repository == repository


@pytest.mark.parametrize("name", ["a/b", "registry.example:5000/a/b:v1"])
def test_an_existing_cluster_can_pull_an_image_by_its_digest(name: str) -> None:
    reference = f"{name}@sha256:{'0' * 64}"
    image = load(kubeconfig="Pulumi.yaml", gitUrl=GITHUB, appImage=reference).image
    assert (image.reference, image.repository) == (reference, name.removesuffix(":v1"))


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/me/iot",
        "https://git.example:8443/me/iot.git",
        "http://gitea.lan/me/iot",
        "ssh://git@github.com/me/iot.git",
        "ssh://git.example:2222/iot.git",
        "git@github.com:me/iot.git",
    ],
)
def test_a_repository_can_be_anywhere(url: str) -> None:
    assert load(gitUrl=url).git.url == url


def test_relative_paths_are_relative_to_the_project() -> None:
    assert load(argocdChart="manifests").argocd_chart == ROOT / "manifests"


def test_ports_that_nothing_uses_do_not_get_in_the_way() -> None:
    assert load(gitUrl=GITHUB, appPorts=[30003]).app_port.host_ports == (30003,)
    existing = load(kubeconfig="Pulumi.yaml", gitUrl=GITHUB, appImage="a/b:v1", appPorts=[8080])
    assert existing.cluster.kubeconfig == ROOT / "Pulumi.yaml"


def test_credentials_stay_secret() -> None:
    found = load(secret=("gitPassword",), gitUrl=GITHUB, gitUsername="me", gitPassword="hunter2")

    assert found.git.password is not None
    assert "hunter2" not in repr(found)


# --- bad ones: one mistake, one line ---------------------------------------------------------------------------------

BAD: list[tuple[str, dict[str, Any], list[str]]] = [
    # what stack, what is set, what the message has to say
    ("nope", {}, ["stack named 'nope'", "p1, p2, p3", "pulumi stack select p3"]),
    ("p3", {"part": "p4"}, ["iot:part is 'p4'", "p1, p2, p3"]),
    ("p3", {"appPort": 8888}, ["no setting iot:appPort", "did you mean iot:appPorts?", "pulumi config rm iot:appPort"]),
    ("p3", {"zzzzzzzz": 1}, ["no setting iot:zzzzzzzz", "docs/settings.md"]),
    ("p3", {"timeout": 5}, ["iot:timeout is '5'", "from 60 to 7200"]),
    ("p3", {"timeout": "soon"}, ["iot:timeout is 'soon'", "whole number"]),
    ("p3", {"timeout": "60.5"}, ["iot:timeout is '60.5'", "whole number"]),
    ("p1", {"agents": "5.0"}, ["iot:agents is '5.0'", "whole number"]),
    ("p1", {"agents": "1_0"}, ["iot:agents is '1_0'", "whole number"]),
    ("p1", {"serverCpus": "+5"}, ["iot:serverCpus is '+5'", "whole number"]),
    ("p3", {"pollInterval": 1}, ["iot:pollInterval", "from 10 to 3600"]),
    ("p3", {"appNodePort": 8888}, ["iot:appNodePort is '8888'", "from 30000 to 32767"]),
    ("p3", {"argocdNodePort": 32768}, ["iot:argocdNodePort is '32768'", "from 30000 to 32767"]),
    ("p3", {"appNodePort": 30002}, ["iot:argocdNodePort is 30002", "iot:appNodePort has it"]),
    ("p3", {"gitPorts": [8888]}, ["iot:gitPorts is 8888", "iot:appPorts has it"]),
    ("p3", {"gitNodePort": 30001}, ["There is no setting iot:gitNodePort"]),
    ("p3", {"kubeconfig": "Pulumi.yaml", "appImage": "a/b:v1"}, ["iot:gitUrl is ''", "on this host alone"]),
    ("p3", {"registryPort": 30003}, ["iot:gitPorts is 30003", "iot:registryPort has it"]),
    ("p3", {"registryPort": -1}, ["iot:registryPort is '-1'", "from 0 to 65535"]),
    ("p3", {"gitRestore": "perhaps"}, ["iot:gitRestore is 'perhaps'", "true or false"]),
    ("p3", {"appPorts": [8080]}, ["iot:argocdPorts is 8080", "iot:appPorts has it"]),
    ("p3", {"appPorts": [8888, 8888]}, ["iot:appPorts is 8888", "a port of its own"]),
    ("p3", {"apiPort": 8888}, ["iot:appPorts is 8888", "iot:apiPort has it"]),
    ("p3", {"appPorts": [8888, 70000]}, ["iot:appPorts is 70000", "from 1 to 65535", "'iot:appPorts[1]'"]),
    ("p3", {"appPorts": ["http"]}, ["iot:appPorts is 'http'", "from 1 to 65535"]),
    ("p3", {"appPorts": [True]}, ["iot:appPorts is True", "from 1 to 65535"]),
    ("p3", {"appPorts": []}, ["iot:appPorts is '[]'", "at least one port"]),
    ("p3", {"appPorts": 8888}, ["iot:appPorts is '8888'", "a list of ports"]),
    ("p3", {"appPorts": "[8888"}, ["iot:appPorts is '[8888'", "a list of ports"]),
    ("p3", {"apiPort": 0}, ["iot:apiPort is '0'", "from 1 to 65535"]),
    ("p3", {"appImage": "Broly20/App v2"}, ["iot:appImage is 'Broly20/App v2'", "an image with a tag"]),
    ("p3", {"appImage": "broly20/app"}, ["iot:appImage is 'broly20/app'", "an image with a tag"]),
    ("p3", {"appImage": "broly20/app:latest"}, ["iot:appImage", "not latest"]),
    ("p3", {"appImage": f"a/b:v1@sha256:{'0' * 64}"}, ["iot:appImage", "without a digest", "iot:kubeconfig"]),
    ("p3", {"k3sImage": "rancher/k3s:latest"}, ["iot:k3sImage", "not latest"]),
    ("p3", {"k3sImage": "rancher/k3s:v1.36.3+k3s1"}, ["iot:k3sImage", "an image with a tag"]),
    (
        "p3",
        {"argocdChart": "charts/none.tgz"},
        ["iot:argocdChart is 'charts/none.tgz'", f"none at {ROOT}/charts/none.tgz"],
    ),
    ("p3", {"k3sImages": "/nowhere.tar"}, ["iot:k3sImages", "there is none at /nowhere.tar"]),
    (
        "p3",
        {"kubeconfig": "/nowhere", "gitUrl": GITHUB, "appImage": "a/b:v1"},
        ["iot:kubeconfig", "there is none at /nowhere"],
    ),
    ("p3", {"kubeconfig": "Pulumi.yaml", "gitUrl": GITHUB}, ["iot:appImage is ''", "an image in a registry"]),
    ("p3", {"kubeContext": "mine"}, ["iot:kubeconfig is ''", "because kubeContext is set"]),
    ("p3", {"clusterName": "IoT"}, ["iot:clusterName is 'IoT'", "at most 32"]),
    ("p3", {"clusterName": HUNDRED}, ["iot:clusterName", "at most 32"]),
    ("p3", {"servers": 2}, ["iot:servers is '2'", "an odd number"]),
    ("p3", {"servers": 0}, ["iot:servers is '0'", "from 1 to 9"]),
    ("p3", {"agentNodes": -1}, ["iot:agentNodes is '-1'", "from 0 to 20"]),
    ("p3", {"bindAddress": "localhost"}, ["iot:bindAddress is 'localhost'", "an IPv4 address"]),
    ("p3", {"nodeHost": "http://x"}, ["iot:nodeHost is 'http://x'", "a host name or an address"]),
    ("p3", {"gitUrl": "github.com/me/iot"}, ["iot:gitUrl is 'github.com/me/iot'", "https://..."]),
    ("p3", {"gitUrl": "/srv/iot.git"}, ["iot:gitUrl", "https://..."]),
    ("p3", {"gitPath": "../secrets"}, ["iot:gitPath is '../secrets'", "inside the repository"]),
    ("p3", {"gitPath": "/etc"}, ["iot:gitPath is '/etc'", "inside the repository"]),
    ("p3", {"gitPath": "a/../../b"}, ["iot:gitPath", "inside the repository"]),
    ("p3", {"gitPath": ""}, ["iot:gitPath is ''", "inside the repository"]),
    ("p3", {"gitPath": "my apps"}, ["iot:gitPath is 'my apps'", "without spaces"]),
    ("p3", {"gitRevision": "a b"}, ["iot:gitRevision is 'a b'", "a branch, tag or commit"]),
    ("p3", {"gitRevision": ""}, ["iot:gitRevision is ''", "a branch, tag or commit"]),
    ("p3", {"gitRevision": "v1"}, ["iot:gitRevision is 'v1'", "main, the only branch of the embedded", "iot:gitUrl"]),
    ("p1", {"vagrantProvider": "vmware"}, ["iot:vagrantProvider is 'vmware'", "virtualbox, libvirt, docker"]),
    ("p1", {"serverAddress": "192.168.56"}, ["iot:serverAddress is '192.168.56'", "an IPv4 address"]),
    ("p1", {"serverAddress": "192.168.56.250", "agents": 9}, ["iot:serverAddress", "room for 9 agents"]),
    ("p1", {"login": "Rel Fila"}, ["iot:login is 'Rel Fila'", "lower case"]),
    ("p1", {"serverMemory": 100}, ["iot:serverMemory is '100'", "from 512"]),
    ("p1", {"k3sAirgapDir": "/nowhere"}, ["iot:k3sAirgapDir", "there is none at /nowhere"]),
    ("p1", {"k3sArgs": ["--a", "disable=traefik"]}, ["iot:k3sArgs is 'disable=traefik'", "'iot:k3sArgs[1]'"]),
    ("p1", {"k3sArgs": ["-v"]}, ["iot:k3sArgs is '-v'", "--name or --name=value"]),
    ("p1", {"k3sArgs": ["--disable traefik"]}, ["iot:k3sArgs is '--disable traefik'"]),
    ("p1", {"k3sArgs": ["--"]}, ["iot:k3sArgs is '--'"]),
    (
        "p3",
        {"bindAddress": "192.168.56.1"},
        ["iot:bindAddress is '192.168.56.1'", "are sent over plain HTTP", "iot:allowPlainHttp true"],
    ),
    (
        "p3",
        {"kubeconfig": "Pulumi.yaml", "gitUrl": GITHUB, "appImage": "a/b:v1", "nodeHost": "node1.lan"},
        ["iot:nodeHost is 'node1.lan'", "passwords of Argo CD and Git", "iot:allowPlainHttp true"],
    ),
    ("p3", {"allowPlainHttp": "yes"}, ["iot:allowPlainHttp is 'yes'", "true or false"]),
    ("p3", {"allowPlainHttp": "1"}, ["iot:allowPlainHttp is '1'", "true or false"]),
    ("p3", {"allowPlainHttp": "maybe"}, ["iot:allowPlainHttp is 'maybe'", "true or false"]),
    ("p2", {"apps": {}, "defaultApp": ""}, ["iot:apps is {}", "at least one app"]),
    ("p2", {"defaultApp": "app9"}, ["iot:defaultApp is 'app9'", "app1, app2, app3"]),
    ("p2", {"appVersion": "v3"}, ["iot:appVersion is 'v3'", "one of v1, v2"]),
    ("p2", {"apps": {"App": {"host": "a.com"}}, "defaultApp": ""}, ["iot:apps is 'App'", "lower case"]),
    (
        "p2",
        {"apps": {"a": {"host": "A B"}}, "defaultApp": ""},
        ["iot:apps is 'A B'", "a host name", "'iot:apps.a.host'"],
    ),
    (
        "p2",
        {"apps": {"a": {"host": "a.com", "replicas": -1}, "b": {"host": "b.com"}}, "defaultApp": ""},
        ["-1", "1 to 50"],
    ),
    (
        "p2",
        {"apps": {"a": {"host": "a.com", "replicas": 0}}, "defaultApp": ""},
        ["iot:apps is 0", "1 to 50 replicas", "'iot:apps.a.replicas'"],
    ),
    (
        "p2",
        {"apps": {"a": {"hots": "a.com"}, "b": {"host": "b.com"}}, "defaultApp": ""},
        ["iot:apps", "a host and replicas"],
    ),
    ("p2", {"apps": {"a": {"host": "a.com"}, "b": {"host": "a.com"}}, "defaultApp": ""}, ["'a.com'", "of its own"]),
    ("p2", {"apps": "app1"}, ["iot:apps is 'app1'", "apps by name"]),
]


@pytest.mark.parametrize(("stack", "changed", "said"), BAD, ids=lambda value: json.dumps(value)[:60])
def test_a_mistake_is_one_line_that_says_what_was_expected_and_how_to_fix_it(
    stack: str, changed: dict[str, Any], said: list[str]
) -> None:
    message = mistakes(stack=stack, **changed)

    for words in said:
        assert words in message
    assert "Fix: " in message
    assert "\n" not in message


def test_there_are_many_bad_ones() -> None:
    assert len(BAD) >= 20


def test_several_mistakes_are_reported_together() -> None:
    message = mistakes(appPort=1, timeout=1, servers=2, appImage="x", gitPath="/")
    first, *lines = message.splitlines()

    assert first == "5 problems"
    assert [line[:4] for line in lines] == ["  - "] * 5
    for key in ("appPort", "timeout", "servers", "appImage", "gitPath"):
        assert sum(f"iot:{key} " in line or f"iot:{key}," in line for line in lines) >= 1, key
    assert all("Fix: " in line for line in lines)


@pytest.mark.parametrize(
    ("changed", "keys"),
    [
        ({"gitPassword": "p"}, {"gitPassword", "gitUrl", "gitUsername"}),
        ({"kubeconfig": "/nowhere"}, {"kubeconfig", "appImage", "gitUrl"}),
        ({"timeout": 1, "bindAddress": "192.168.56.1", "kubeContext": "x"}, {"timeout", "bindAddress", "kubeconfig"}),
    ],
)
def test_what_disagrees_is_reported_beside_what_is_wrong_by_itself(changed: dict[str, Any], keys: set[str]) -> None:
    _, *lines = mistakes(**changed).splitlines()

    assert {line.removeprefix("  - iot:").partition(" ")[0] for line in lines} == keys


def test_a_port_that_is_out_of_range_is_not_compared_with_others() -> None:
    message = mistakes(appNodePort=8888, argocdNodePort=8080)

    assert message.startswith("2 problems\n")
    assert "a port of its own" not in message


# --- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("gitPassword", {"gitUrl": GITHUB, "gitUsername": "me"}),
        ("gitSshKey", {"gitUrl": "git@github.com:me/iot.git"}),
    ],
)
def test_a_secret_in_plain_text_is_refused_without_showing_it(key: str, more: dict[str, Any]) -> None:
    message = mistakes(**more | {key: "hunter2"})

    assert "hunter2" not in message
    assert f"iot:{key}" in message
    assert f"pulumi config set --secret iot:{key}" in message
    assert "\n" not in message


@pytest.mark.parametrize("name", settings.K3S_SECRETS)
def test_a_k3s_argument_that_lets_somebody_in_has_to_be_a_secret(name: str) -> None:
    message = mistakes(stack="p1", k3sArgs=["--disable=traefik", f"--{name}=hunter2"])

    assert "hunter2" not in message
    assert f"iot:k3sArgs is '--{name}=(hidden)'. expected a secret" in message
    assert f"pulumi config set --secret --path 'iot:k3sArgs[1]', and enter --{name}=VALUE" in message
    found = load("p1", ("k3sArgs",), k3sArgs=[f"--{name}=hunter2"]).machines.k3s_args
    assert not isinstance(found, tuple)


def test_a_mistake_in_a_secret_is_not_shown() -> None:
    assert "hunter2" not in mistakes(stack="p1", secret=("k3sArgs",), k3sArgs=["token=hunter2"])


@pytest.mark.parametrize(
    "changed",
    [
        {"bindAddress": "127.0.0.2"},
        {"bindAddress": "192.168.56.1", "allowPlainHttp": True},
        {"kubeconfig": "Pulumi.yaml", "gitUrl": GITHUB, "appImage": "a/b:v1"},
        {"kubeconfig": "Pulumi.yaml", "gitUrl": GITHUB, "appImage": "a/b:v1", "nodeHost": "lab.localhost"},
        {
            "kubeconfig": "Pulumi.yaml",
            "gitUrl": GITHUB,
            "appImage": "a/b:v1",
            "nodeHost": "node1.lan",
            "allowPlainHttp": True,
        },
    ],
)
def test_passwords_stay_on_this_host_unless_they_may_leave_it(changed: dict[str, Any]) -> None:
    assert load(**changed).part == "p3"


@pytest.mark.parametrize("url", ["https://me:hunter2@github.com/me/iot", "ssh://git:hunter2@git.example/iot"])
def test_a_password_in_an_address_is_refused_without_showing_it(url: str) -> None:
    message = mistakes(gitUrl=url)

    assert "hunter2" not in message
    assert "without a password in it" in message


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"gitPassword": "p", "gitUsername": "me"}, "gitUrl"),
        ({"gitSshKey": "k"}, "gitUrl"),
        ({"gitSshKey": "k", "gitUrl": GITHUB}, "gitUrl"),
        ({"gitPassword": "p", "gitUsername": "me", "gitUrl": "git@github.com:me/iot.git"}, "gitUrl"),
        ({"gitPassword": "p", "gitUrl": GITHUB}, "gitUsername"),
        ({"gitUsername": "me", "gitUrl": GITHUB}, "gitPassword"),
    ],
)
def test_credentials_that_would_not_be_used_are_refused(changed: dict[str, Any], key: str) -> None:
    message = mistakes(secret=("gitPassword", "gitSshKey"), **changed)

    assert message.startswith(f"iot:{key} is ")
    assert "\n" not in message


# --- Pulumi.yaml -----------------------------------------------------------------------------------------------------


def test_every_setting_that_is_read_is_declared_and_the_other_way_round() -> None:
    assert len(settings.KEYS) >= 30
    assert set(settings.KEYS) == set(project.declared(ROOT))


def test_every_declared_setting_has_a_type_a_default_and_a_description() -> None:
    for key, spec in project.declared(ROOT).items():
        assert {"type", "default", "description"} <= set(spec), key
        assert spec["description"].endswith("."), key


def test_no_secret_has_a_default() -> None:
    declared = project.declared(ROOT)

    assert [declared[key]["default"] for key in ("gitPassword", "gitSshKey")] == ["", ""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "config:\n\tiot:part: p3\n",
            r"^Pulumi\.p3\.yaml:2:1 is not YAML\. .*character '\\t'.*Fix: correct that line\.$",
        ),
        ("config: [\n", r"^Pulumi\.p3\.yaml:2:1 is not YAML"),
        ("config:\n  a: \x07\n", r"^Pulumi\.p3\.yaml:2:6 is not YAML.*Fix: correct that line"),
        ("", r"^Pulumi\.p3\.yaml has no settings.*Fix: begin it with a line `config:`"),
        ("- config\n", r"^Pulumi\.p3\.yaml has no settings"),
        ("config: [p3]\n", r"^config of Pulumi\.p3\.yaml is no mapping"),
    ],
)
def test_a_file_that_is_no_yaml_says_which_line_to_correct(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "Pulumi.yaml").write_text("config: {}", encoding="utf-8")
    (tmp_path / "Pulumi.p3.yaml").write_text(text, encoding="utf-8")

    with pytest.raises(LabError, match=said) as caught:
        project.stack_config("p3", tmp_path)
    assert "git checkout" not in str(caught.value)
    with pytest.raises(LabError, match=said):
        project.places("p3", tmp_path)


def test_a_missing_settings_file_says_which_one(tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"^Pulumi\.yaml can't be read.*Fix: git checkout Pulumi\.yaml\.$"):
        project.declared(tmp_path)
