"""Seeded mistakes in a clone of the platform's repository: each is found before it is pushed, with where it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from components.core.errors import LabError
from components.core.run import CommandError
from components.gitops.allowed import kinds
from devtools.checks import gitops
from lab.commands import validate
from lab.host import tools

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from devtools import graph

pytestmark = pytest.mark.unit

ALLOWED: Final = (*kinds(sealed=True), ("argoproj.io", "Rollout"), ("argoproj.io", "AnalysisTemplate"))
OVERLAY: Final = "overlays/dev/kustomization.yaml"
ANALYSIS: Final = "delivery/canary/analysis.yaml"
CANARY: Final = {
    "delivery/canary/kustomization.yaml": """apiVersion: kustomize.config.k8s.io/v1alpha1
kind: Component
resources:
  - analysis.yaml
patches:
  - path: rollout.yaml
    target: {kind: Deployment, name: flask-app}
    options: {allowKindChange: true}
""",
    "delivery/canary/rollout.yaml": """- {op: replace, path: /apiVersion, value: argoproj.io/v1alpha1}
- {op: replace, path: /kind, value: Rollout}
- op: replace
  path: /spec/strategy
  value:
    canary:
      steps:
        - setWeight: 50
        - analysis: {templates: [{templateName: works}]}
""",
    ANALYSIS: """apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata:
  name: works
spec:
  args:
    - name: hash
    - name: window
  metrics:
    - name: errors
      failureCondition: result[0] > 0.05
      provider:
        prometheus:
          query: sum(rate(http_request_duration_seconds_count{pod_template_hash="{{args.hash}}"}[{{args.window}}]))
""",
}
SECRET: Final = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\nstringData:\n  password: made-up\n"
CONFIG: Final = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: more\n"
SEALED: Final = f"""apiVersion: bitnami.com/v1alpha1
kind: SealedSecret
metadata:
  name: db
  namespace: prod
spec:
  encryptedData:
    password: {"A" * 400}
"""
SERVICE: Final = """apiVersion: v1
kind: Service
metadata:
  name: more
spec:
  selector:
    app.kubernetes.io/name: flask-app
  ports:
    - port: 80
      nodePort: 30077
"""
PATCH: Final = """patches:
- target: {kind: Service}
  patch: |
    - op: replace
      path: /spec/ports/0/nodePort
      value: 30077
"""
# By file: what is replaced in it (all of it when it is empty), by what, in which line it is told, and in what words.
MISTAKES: Final = [
    ("base/db.yaml", "", SECRET, 2, "Argo CD refuses a Secret; whoever reads Git reads it"),
    ("notes/db.yaml", "", SECRET, 2, "a Secret is in Git; whoever reads Git reads it"),
    ("notes/db.json", "", '{"kind": "Secret"}', 1, "a Secret is in Git; whoever reads Git reads it"),
    ("base/kustomization.yaml", "", "resources: deployment.yaml\n", 1, "resources is no list; put a hyphen"),
    ("apps/db.yaml", "", SECRET, 2, "a Secret is no Application, and Argo CD refuses it there; whoever reads Git"),
    (OVERLAY, "images:", "secretGenerator:\n- name: db\nimages:", 7, "it makes a Secret, which Argo CD refuses"),
    (OVERLAY, "images:", "configMapGenerator:\n- name: a\nimages:", 7, "it makes a ConfigMap, which Argo CD refuses"),
    ("base/more.yaml", "", CONFIG, 2, "Argo CD refuses a ConfigMap; name it in KINDS"),
    ("base/more.yaml", "", CONFIG, 1, "no kustomization names it, so that Argo CD does not see it; add more.yaml"),
    ("base/deployment.yaml", "  replicas: 1", "  replicas: [1", 11, "it is not YAML: "),
    (
        "base/deployment.yaml",
        "  replicas: 1",
        "  replicaz: 1",
        10,
        "spec has no field replicaz; did you mean replicas?",
    ),
    ("base/list.yaml", "", "- a\n", 1, "it is no object: it has no kind"),
    (OVERLAY, "- ../../base", "- ../../bse", 6, "there is no ../../bse; correct the path"),
    (OVERLAY, "- ../../base", "- ../../notes", 6, "../../notes has no kustomization.yaml; add one there"),
    (OVERLAY, "- ../../base", "- ../../../theirs", 6, "is outside of this repository"),
    (OVERLAY, "- ../../base", "- https://example.com/base?ref=main", 6, "is elsewhere, where others change it"),
    (OVERLAY, "images:", "components:\n- ../../delivery/none\nimages:", 8, "there is no ../../delivery/none"),
    (OVERLAY, "images:", "patches:\n- path: none.yaml\nimages:", 8, "there is no none.yaml"),
    ("overlays/qa/more.txt", "", "a\n", None, "it has no kustomization.yaml; add one, or remove it"),
    ("overlays/dev/service.yaml", "", SERVICE, 10, "a node port is no overlay's to take"),
    (
        OVERLAY,
        "images:",
        f"{PATCH}images:",
        9,
        "a node port is no overlay's to take",
    ),
    ("overlays/dev/db.yaml", "", SEALED, 5, "it is sealed for prod, and can't be read in dev; make seal ENV=dev"),
    (
        "delivery/canary/rollout.yaml",
        "  path: /spec/strategy",
        "  path: /spec/ports/0/nodePort",
        4,
        "a node port is no",
    ),
    (ANALYSIS, "sum(rate(", "sum(rate((", 14, "Prometheus can't read the query of the metric errors: "),
    (ANALYSIS, "sum(rate(", "summ(rate(", 14, "Prometheus can't read the query of the metric errors: "),
    (
        ANALYSIS,
        "      failureCondition: result[0] > 0.05\n",
        "",
        10,
        "the metric errors calls everything good; give it",
    ),
    (ANALYSIS, "    - name: window\n", "", 13, "asks for {{args.window}}; name window in spec.args"),
    (ANALYSIS, "failureCondition", "failCondition", 11, "has no field failCondition; did you mean failureCondition?"),
    (
        "apps/dev.yaml",
        "  project: dev",
        "  project: default",
        10,
        "names the project default, which the cluster refuses",
    ),
]


@pytest.fixture
def clone(build: Callable[..., graph.Graph], tmp_path: Path) -> Path:
    """Return what the repository begins with, as the branch of dev has it, with the Applications and a canary."""
    made: dict[str, Any] = (
        build("platform", ci=False).named("gitea-server").inputs["repositories"]["gitops"]["branches"]
    )
    apps = {name: text for name, text in made["main"].items() if name.startswith("apps/")}
    for name, text in {**made["env/dev"], **apps, **CANARY}.items():
        write(tmp_path / name, text)
    write(tmp_path / ".gitea" / "workflow.yaml", "no: manifest\n")
    write(tmp_path / "notes" / "README.md", "no manifest\n")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture(autouse=True)
def _as_on_a_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validate, "_allowed", lambda _: ALLOWED)
    monkeypatch.setattr(tools, "ensure", lambda _: None)


def told(clone: Path) -> list[str]:
    return [str(each).removeprefix(f"{clone}/") for each in validate.of_checkout(clone)]


@pytest.mark.parametrize("branch", ["main", "env/dev", "env/staging"])
def test_nothing_is_wrong_with_what_a_branch_begins_with(
    build: Callable[..., graph.Graph], tmp_path: Path, branch: str
) -> None:
    made = build("platform").named("gitea-server").inputs["repositories"]["gitops"]["branches"][branch]
    for name, text in made.items():
        write(tmp_path / name, text)
    assert list(gitops.findings(tmp_path, "here", ALLOWED)) == []


@pytest.mark.parametrize(("file", "old", "new", "line", "words"), MISTAKES)
def test_a_mistake_is_found_where_it_stands(  # noqa: PLR0913, PLR0917 - a column each
    clone: Path, file: str, old: str, new: str, line: int | None, words: str
) -> None:
    path = clone / file
    text = path.read_text(encoding="utf-8") if old else ""
    assert old in text
    write(path, text.replace(old, new, 1) if old else new)
    found = [each for each in told(clone) if words in each]
    where = f"{file}:{line}" if line else str(path.parent.relative_to(clone))
    assert found
    assert all(each.startswith(where) for each in found), found
    assert all("; " in each for each in found)


def test_what_comes_out_is_looked_at_when_the_files_are_good(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def render(root: Path, overlay: Path, delivery: Path | None) -> str:
        asked.append((overlay.name, delivery.name if delivery else ""))
        return f"{CONFIG}  namespace: prod\n" if delivery else ""

    monkeypatch.setattr(validate, "render", render)
    found = told(clone)
    assert asked == [("dev", ""), ("dev", "canary")]
    assert any("overlays/dev with canary:2: ConfigMap prod/more: Argo CD refuses a ConfigMap" in each for each in found)
    write(clone / "base" / "db.yaml", SECRET)
    asked.clear()
    assert told(clone)
    assert asked == []


def test_what_kustomize_refuses_is_told(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def render(root: Path, overlay: Path, delivery: Path | None) -> str:
        raise CommandError("failed", why='it said: unknown field "resorces"')

    monkeypatch.setattr(validate, "render", render)
    assert told(clone) == [f'{OVERLAY}: Kustomize refuses it: it said: unknown field "resorces"; correct it']


def rollout(strategy: str) -> str:
    labels = "{app.kubernetes.io/name: a}"
    return f"""apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {{name: a, namespace: dev}}
spec:
  selector: {{matchLabels: {labels}}}
  strategy: {strategy}
  template: {{metadata: {{labels: {labels}}}, spec: {{containers: [{{name: a, image: nginx}}]}}}}
"""


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("{}", "by one alone; give it spec.strategy.canary or .blueGreen"),
        ("{canary: {}, blueGreen: {activeService: a}}", "by one alone; give it spec.strategy.canary or .blueGreen"),
        ("{blueGreen: {activeService: none}}", "there is no Service none; name one"),
        ("{canary: {steps: [{analysis: {templates: [{templateName: none}]}}]}}", "there is no AnalysisTemplate none"),
        ("{canary: {}}", "unprivileged"),
    ],
)
def test_a_mistake_in_a_rollout_is_found_in_what_comes_out(
    clone: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, words: str
) -> None:
    monkeypatch.setattr(validate, "render", lambda *_: rollout(strategy))
    found = [each for each in told(clone) if words in each]
    assert found
    # The pod's own mistakes are told with it.
    assert all(each.startswith("overlays/dev:") for each in found), found


def test_a_repository_without_overlays_is_taken_for_a_folder_of_manifests(tmp_path: Path) -> None:
    write(tmp_path / "notes.md", "nothing\n")
    assert not gitops.is_one(tmp_path)
    with pytest.raises(LabError, match="there is no manifest in"):
        list(validate.of_checkout(tmp_path))
