"""The benchmark gives the plain script the program's own objects, and shows figures as they are."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from components.core import versions
from components.core.errors import LabError
from components.docker import engine as docker_engine
from devtools import graph
from devtools.bench import inputs, load, p3, platform, program, table
from devtools.bench.table import Row, Step
from lab.commands import bench

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
TOOL = """\
#!/bin/sh
printf '%s' "${0##*/}" >>"$LOG"
printf ' %s' "$@" >>"$LOG"
printf '\\n' >>"$LOG"
"""


@pytest.fixture(scope="module")
def made() -> graph.Graph:
    return graph.build(p3.STACK, ROOT, p3.SETTINGS)


@pytest.fixture
def written(made: graph.Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> inputs.Inputs:
    monkeypatch.setattr(docker_engine, "cgroup_version", lambda: "1")
    return inputs.write(made, tmp_path)


def documents(folder: Path, *names: str) -> list[dict[str, Any]]:
    return [each for name in names for each in yaml.safe_load_all((folder / name).read_text(encoding="utf-8"))]


def identity(inputs_: Mapping[str, Any]) -> tuple[str, str, str]:
    metadata = inputs_["metadata"]
    return inputs_["kind"], metadata.get("namespace", ""), metadata["name"]


def test_the_script_applies_every_object_that_the_program_makes(made: graph.Graph, written: inputs.Inputs) -> None:
    objects = [node.inputs for node in made.nodes if node.type.startswith("kubernetes:") and "kind" in node.inputs]
    applied = documents(written.folder, "cluster.yaml", "gitops.yaml")
    assert sorted(map(identity, applied)) == sorted(map(identity, objects))
    assert {"Secret", "Application", "AppProject", "Namespace"} <= {each["kind"] for each in applied}


def test_what_needs_argo_cd_comes_after_it(written: inputs.Inputs) -> None:
    late = documents(written.folder, "gitops.yaml")
    assert sorted(each["kind"] for each in late) == ["AppProject", "Application", "Secret"]


def test_secrets_are_random_and_agree_with_each_other(written: inputs.Inputs) -> None:
    everything = "".join(path.read_text(encoding="utf-8") for path in written.folder.iterdir())
    assert graph.STAND_IN not in everything
    assert "{'secret'" not in everything
    given = json.loads((written.folder / "git.json").read_text(encoding="utf-8"))
    (values,) = documents(written.folder, "values.yaml")
    assert given["webhook_secret"] == values["configs"]["secret"]["gogsSecret"]
    assert given["owner_password"] != given["passwords"]["argocd"]


def test_the_cluster_is_the_one_of_the_program(written: inputs.Inputs) -> None:
    (config,) = documents(written.folder, "k3d.yaml")
    assert config["image"] == versions.K3S_IMAGE
    assert config["metadata"]["name"] == written.environment["CLUSTER"] == "iot-bench"
    assert {"arg": "--kubelet-arg=fail-cgroupv1=false", "nodeFilters": ["server:*"]} in config["options"]["k3s"][
        "extraArgs"
    ]
    images = (written.folder / "images.txt").read_text(encoding="utf-8").split()
    assert len(images) == len(set(images))
    assert {versions.ARGOCD_IMAGE, versions.REDIS_IMAGE, "iot-lab/flask-app:v2"} <= set(images)


def test_the_script_does_its_steps_in_order_and_stops_at_a_failure(
    written: inputs.Inputs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("docker", "k3d", "helm", "kubectl", "python"):
        (tools / name).write_text(TOOL, encoding="utf-8")
        (tools / name).chmod(0o755)
    log = tmp_path / "log"
    monkeypatch.setenv("LOG", str(log))
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    for name, value in written.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHON", "python")
    command = ["bash", p3.SCRIPT, "up", str(written.folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "step: build the images"
    ran = [" ".join(line.split()[:2]) for line in log.read_text(encoding="utf-8").splitlines()]
    order = [
        "docker build",
        "docker network",
        "docker run",
        "k3d cluster",
        "k3d image",
        "kubectl apply",
        "helm install",
        "python -m",
        "kubectl apply",
    ]
    positions = [ran.index(order[0])]
    for each in order[1:]:
        positions.append(ran.index(each, positions[-1] + 1))
    assert positions == sorted(positions)
    (tools / "helm").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    log.unlink()
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 1
    assert "gitops.yaml" not in log.read_text(encoding="utf-8")


def test_a_table_shows_medians_all_values_and_their_ratio() -> None:
    shown = table.comparison([Row(what="up", ours=[30.0, 40.0, 20.0], theirs=[60.0]), Row(what="preview", ours=[2.0])])
    assert "| up | **30.0 s** (30.0, 40.0, 20.0) | **60.0 s** | 0.50 |" in shown
    assert "| preview | **2.0 s** |  |  |" in shown


def test_steps_are_shown_in_the_order_of_their_begin_without_short_ones() -> None:
    shown = table.steps(
        [Step(what="b", begin=2, end=4), Step(what="a", begin=0, end=3), Step(what="c", begin=1, end=1.1)], least=0.3
    )
    assert shown.splitlines()[2:] == ["| a | 0.0 s | 3.0 s | 3.0 s |", "| b | 2.0 s | 4.0 s | 2.0 s |"]


def test_figures_take_the_place_of_older_ones(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin, end = table.marks()
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n", encoding="utf-8")
    table.put(page, "new")
    assert page.read_text(encoding="utf-8") == f"before\n{begin}\nnew\n{end}\nafter\n"
    page.write_text("no marks\n", encoding="utf-8")
    with pytest.raises(LabError, match="no place for figures"):
        table.put(page, "new")


def test_the_page_has_a_place_for_figures() -> None:
    text = bench.PAGE.read_text(encoding="utf-8")
    for of in ("", platform.STACK, "p2 with many", "p3 with many"):
        begin, end = table.marks(of)
        assert text.index(begin) < text.index(end)


def test_a_report_has_a_row_for_everything_that_is_measured() -> None:
    figures = p3.Figures(
        ours={name: [1.0] for name in ("up", "first", "lost", "down", "release", "second", "preview", "memory")},
        theirs={name: [2.0] for name in ("up", "down", "memory", "delete")},
        small={name: [4.0] for name in ("second", "preview")},
        our_steps=[[Step(what="cluster", begin=0, end=9)], [Step(what="cluster", begin=0, end=7)]],
        their_steps=[[Step(what="create the cluster", begin=0, end=8)]],
    )
    shown = p3.report(figures, ["- 2 CPUs"])
    assert shown.startswith("- 2 CPUs\n")
    assert "| `up` after `destroy` | **1.0 s** | **2.0 s** | 0.50 |" in shown
    assert "| first `up`, images in Docker | **1.0 s** | **2.0 s** | 0.50 |" in shown
    assert "| lost cluster -> Healthy at Git's commit | **1.0 s** | **2.0 s** | 0.50 |" in shown
    assert "| memory of the whole lab | **1.0 GiB** | **2.0 GiB** | 0.50 |" in shown
    assert "| a second `up`, nothing to do | **1.0 s** | **4.0 s** | 0.25 |" in shown
    assert "| a preview of the same | **1.0 s** | **4.0 s** | 0.25 |" in shown
    assert "| cluster | 0.0 s | 7.0 s | 7.0 s |" in shown


@pytest.mark.parametrize(
    "said", ["1000\ncache 500\ninactive_file 1\ntotal_inactive_file 300\n", "1000\nanon 500\ninactive_file 300\n"]
)
def test_cached_files_are_no_memory_in_use(said: str) -> None:
    assert program.used(said) == 700


@pytest.mark.parametrize(
    ("text", "value"), [("apiPort=6551", 6551), ("appPorts=[1, 2]", [1, 2]), ("clusterName=mine", "mine")]
)
def test_settings_are_read_as_json_or_text(text: str, value: object) -> None:
    assert bench.setting(text) == (text.partition("=")[0], value)


def test_wrong_arguments_are_errors() -> None:
    with pytest.raises(LabError, match="expected KEY=VALUE"):
        bench.setting("apiPort")
    given = {"repetitions": 1, "set": [], "write": False, "load": None, "stack": "p3"}
    for wrong, words in (
        ({"repetitions": 0}, "at least 1"),
        ({"stack": "p2"}, "with --load alone"),
        ({"stack": "platform", "load": "1,10,50"}, "not for the platform"),
    ):
        with pytest.raises(LabError, match=words):
            bench.run(argparse.Namespace(**given | wrong))


EVENTS = """\
{"diagnosticEvent": {"message": "registering", "severity": "debug"}}
{"resourcePreEvent": {"metadata": {"urn": "urn:pulumi:p3::iot::iot:argocd:ArgoCd::argocd"}}}
{"resourcePreEvent": {"metadata": {"urn": "urn:pulumi:p3::iot::iot:k3d:K3dCluster$k3d:Nodes::nodes"}}}
{"diagnosticEvent": {"message": "no space left", "severity": "error"}}
{"resOutputsEvent": {"metadata": {"urn": "urn:pulumi:p3::iot::iot:k3d:K3dCluster$k3d:Nodes::nodes"}}}
{"resOutputsEvent": {"metadata": {"urn": "urn:pulumi:p3::iot::iot:argocd:ArgoCd::argocd"}}}
"""


@pytest.mark.parametrize("code", [0, 255])
def test_the_engine_s_events_are_steps_and_its_messages_are_errors(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stand-in for the CLI prints events in the form of Pulumi 3.259."""
    tools, folder = tmp_path / "tools", tmp_path / "bench"
    for each in (tools, folder):
        each.mkdir()
    (tmp_path / "events").write_text(EVENTS, encoding="utf-8")
    (tools / "pulumi").write_text(
        f'#!/bin/sh\ncase "$*" in *" up "*) cat {tmp_path}/events; exit {code} ;; esac\n', encoding="utf-8"
    )
    (tools / "pulumi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PULUMI_BACKEND_URL", "")  # the benchmark sets it, and this takes it back
    measured = program.Program(folder, p3.STACK, p3.SETTINGS)
    if code:
        with pytest.raises(LabError, match=r"pulumi up failed. no space left\."):
            measured.up(0.0)
    else:
        assert [step.what for step in measured.up(0.0)] == ["nodes"]


# --- the platform beside p3 ------------------------------------------------------------------------------------------


def test_the_platform_is_measured_as_it_is_committed_with_names_and_ports_of_its_own() -> None:
    found = platform.settings({"gitPorts": [18044]})
    committed = yaml.safe_load((ROOT / "Pulumi.platform.yaml").read_text(encoding="utf-8"))["config"]
    assert {f"iot:{key}" for key in found} >= committed.keys()
    for key in ("environments", "clusters"):
        for name, each in found[key].items():
            theirs = committed[f"iot:{key}"][name]
            assert {what: value for what, value in each.items() if "ort" not in what} == {
                what: value for what, value in theirs.items() if "ort" not in what
            }
    ports = [found["apiPort"], found["registryPort"], *found["argocdPorts"], *found["gitPorts"]]
    ports += [each["apiPort"] for each in found["clusters"].values()]
    ports += [each["port"] for each in found["environments"].values()]
    assert 18044 in ports
    assert len(set(ports)) == len(ports)
    assert graph.build(platform.STACK, ROOT, found).nodes  # the program takes them


def test_a_report_of_the_platform_has_a_row_for_everything_that_is_measured() -> None:
    names = ("first", "up", "second", "down", "memory")
    shown = platform.report(
        {"platform": {"code": [20.0]} | {name: [3.0] for name in names}, "p3": {name: [2.0] for name in names}},
        ["- 2 CPUs"],
    )
    assert "| | platform | p3 | platform / p3 |" in shown
    assert "| first `up`, images in Docker | **3.0 s** | **2.0 s** | 1.50 |" in shown
    assert "| memory of the whole lab | **3.0 GiB** | **2.0 GiB** | 1.50 |" in shown
    assert "| code pushed -> live in the first environment | **20.0 s** |  |  |" in shown


# --- with many apps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("stack", "kind"), [("p2", "Deployment"), ("p3", "AppProject")])
def test_a_stack_with_many_apps_has_as_many_objects_and_no_port_of_a_users_own(stack: str, kind: str) -> None:
    def made(count: int) -> tuple[graph.Node, ...]:
        return graph.build(stack, ROOT, load.settings(stack, count, {})).nodes

    def of(nodes: tuple[graph.Node, ...]) -> int:
        return sum(node.inputs.get("kind") == kind for node in nodes)

    assert of(made(10)) - of(made(1)) == 9
    committed = yaml.safe_load((ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    mine = load.settings(stack, 50, {})
    assert mine.keys() <= committed.keys()
    for key in ("clusterName", "apiPort", "gitPorts", "argocdPorts", "login", "serverAddress"):
        if key in mine:
            assert mine[key] != committed[key]["default"]


def test_what_grows_by_as_much_for_each_app_is_linear() -> None:
    counts = (1, 10, 50)
    assert load.linear(counts, [10.0, 19.0, 59.0]) == pytest.approx(1.0)
    assert load.linear(counts, [10.0, 19.0, 118.0]) == pytest.approx(2.0)
    assert load.linear(counts, [10.0, 10.0, 10.0]) == pytest.approx(1.0)


def test_a_report_of_many_apps_has_a_column_for_each_number() -> None:
    figures = {count: {name: [float(count), count + 2.0] for name in load.WHAT} for count in (50, 1, 10)}
    shown = load.report("p3", figures, ["- 2 CPUs"])
    assert "| | 1 | 10 | 50 | last / linear |" in shown
    assert "| `up` after `destroy` | 2.0 s | 11.0 s | 51.0 s | 1.00 |" in shown
    assert "| memory | 2.0 GiB | 11.0 GiB | 51.0 GiB | 1.00 |" in shown
    assert "in one of them" in shown
    assert "of all apps" in load.report("p2", figures, [])


@pytest.mark.parametrize("text", ["", "1", "1,10", "1,1,10", "0,1,2", "1,10,101", "1,10,many", "-1,2,3"])
def test_numbers_that_say_nothing_of_growth_are_refused(text: str) -> None:
    with pytest.raises(LabError, match="can't be measured"):
        load.numbers(text)


def test_numbers_are_taken_in_rising_order() -> None:
    assert load.numbers("50, 1,10") == (1, 10, 50)
