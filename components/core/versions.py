"""Every pinned version, image, chart and checksum, once. Nothing else in the project names one.

The packages of PyPI are pinned, with their hashes, in requirements.txt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A Helm chart.

    Attributes:
        name: in its repository.
        version: of the chart, which is not that of what it installs.
        repository: URL.
        release: URL of the folder with its archive.
        sha256: of the archive; empty where it is not known, and the first one that is fetched is held to.
        setting: the one that names another archive, or a folder, without its namespace.
    """

    name: str
    version: str
    repository: str
    release: str
    sha256: str
    setting: str

    @property
    def archive(self) -> str:
        """The archive's file name."""
        return f"{self.name}-{self.version}.tgz"

    @property
    def url(self) -> str:
        """Where the archive is."""
        return f"{self.release}/{self.archive}"


# Tools. mise.toml installs these; tests/unit/test_versions.py keeps the two files equal.
PULUMI: Final = "3.259.0"
K3D: Final = "5.9.0"
KUBECTL: Final = "1.36.3"

# Pulumi plugins, which the engine fetches: the same versions as the packages in requirements.txt.
PULUMI_PLUGINS: Final = {"command": "1.2.1", "docker": "5.1.0", "kubernetes": "4.32.0"}

# Kubernetes: https://github.com/k3s-io/k3s/releases
K3S: Final = "v1.36.3+k3s1"
K3S_IMAGE: Final = "rancher/k3s:v1.36.3-k3s1"
K3D_TOOLS_IMAGE: Final = f"ghcr.io/k3d-io/k3d-tools:{K3D}"

# Argo CD: the digest of a chart is the one in the index of its repository
ARGOCD: Final = "v3.4.4"
ARGOCD_IMAGE: Final = f"quay.io/argoproj/argocd:{ARGOCD}"
ARGOCD_CHART: Final = Chart(
    name="argo-cd",
    version="10.1.1",
    repository="https://argoproj.github.io/argo-helm",
    release="https://github.com/argoproj/argo-helm/releases/download/argo-cd-10.1.1",
    sha256="a677dfa6ca7e9f9a71fe9bf54ea86a9011d5c7db8e137c5171e78c4493af20e5",
    setting="argocdChart",
)
# The image that the chart's own values name.
REDIS_IMAGE: Final = "ecr-public.aws.com/docker/library/redis:8.2.3-alpine"

# Sealed Secrets: https://github.com/bitnami-labs/sealed-secrets
# The image is newer than the one that the chart's own values name.
SEALED_SECRETS_IMAGE: Final = "bitnami/sealed-secrets-controller:0.39.1"
SEALED_SECRETS_CHART: Final = Chart(
    name="sealed-secrets",
    version="2.18.5",
    repository="https://bitnami-labs.github.io/sealed-secrets",
    release="https://github.com/bitnami-labs/sealed-secrets/releases/download/helm-v2.18.5",
    sha256="2fc1ff0ce22ce40097604b75cdb600f48a92114791a0b55427bf2c27391f15bf",
    setting="sealedSecretsChart",
)

# Argo Rollouts: https://github.com/argoproj/argo-rollouts
ROLLOUTS: Final = "v1.9.0"
ROLLOUTS_IMAGE: Final = f"quay.io/argoproj/argo-rollouts:{ROLLOUTS}"
ROLLOUTS_CHART: Final = Chart(
    name="argo-rollouts",
    version="2.41.0",
    repository="https://argoproj.github.io/argo-helm",
    release="https://github.com/argoproj/argo-helm/releases/download/argo-rollouts-2.41.0",
    sha256="ff53d617efb369cd07acc595309e7fa73a602576375e0a52a78dab1e2d970df5",
    setting="rolloutsChart",
)

# Prometheus: https://github.com/prometheus-community/helm-charts
# Alertmanager is newer than the one that the chart's own values name.
PROMETHEUS_IMAGE: Final = "quay.io/prometheus/prometheus:v3.14.0"
ALERTMANAGER_IMAGE: Final = "quay.io/prometheus/alertmanager:v0.34.2"
KUBE_STATE_METRICS_IMAGE: Final = "registry.k8s.io/kube-state-metrics/kube-state-metrics:v2.20.0"
PROMETHEUS_CHART: Final = Chart(
    name="prometheus",
    version="29.27.0",
    repository="https://prometheus-community.github.io/helm-charts",
    release="https://github.com/prometheus-community/helm-charts/releases/download/prometheus-29.27.0",
    # The index of its repository could not be had when this was pinned, and no sum is made up.
    sha256="",
    setting="prometheusChart",
)

# Grafana: https://hub.docker.com/r/grafana/grafana
# The last of 12, which has the data source of Prometheus in its binary. From 13.2 on that is a plugin, which Grafana
# takes away before it finds that it can't write a newer one to a root that is read-only:
# https://github.com/grafana/grafana/issues/132528
GRAFANA_IMAGE: Final = "docker.io/grafana/grafana:12.4.12"

CHARTS: Final = (ARGOCD_CHART, SEALED_SECRETS_CHART, ROLLOUTS_CHART, PROMETHEUS_CHART)

# The embedded Git server: https://hub.docker.com/r/gitea/gitea
GITEA_IMAGE: Final = "docker.gitea.com/gitea:1.27.3-rootless"

# CI beside the cluster: https://hub.docker.com/r/gitea/runner; jobs run in an image made from ci/Dockerfile.
RUNNER_IMAGE: Final = "gitea/runner:2.3.0"
CI_REPOSITORY: Final = "iot-lab/ci"

# The registry beside the cluster: https://hub.docker.com/_/registry
REGISTRY_IMAGE: Final = "registry:3"

# The Flask app. The Dockerfile's ARG has the same base as its default.
PYTHON_IMAGE: Final = "python:3.13-slim"
APP_REPOSITORY: Final = "iot-lab/flask-app"
APP_VERSIONS: Final = ("v1", "v2")

# K3s on machines, checked against the release's own sha256sum-ARCH.txt; install.sh is the file at the release's tag.
K3S_RELEASE_URL: Final = "https://github.com/k3s-io/k3s/releases/download/" + K3S.replace("+", "%2B")
K3S_SHA256: Final = {
    "amd64": "2f98a9f8fe5782479ee2d54e70a1b10a7f6fd4cae8d38ed3098452dc6eed76b5",
    "arm64": "c9a209103f480f163b7c6a56f00862b4481927b284dc29a3716bb70d886691a8",
}
K3S_INSTALL_URL: Final = "https://raw.githubusercontent.com/k3s-io/k3s/" + K3S.replace("+", "%2B") + "/install.sh"
K3S_INSTALL_SHA256: Final = "46177d4c99440b4c0311b67233823a8e8a2fc09693f6c89af1a7161e152fbfad"

# Vagrant boxes of the stable Debian, by provider, with their versions; Debian's own box has no VirtualBox build.
# The docker provider runs an image instead, made from vagrant/Dockerfile. It is one release behind: the systemd of
# Debian 13 does not start on hosts with cgroup v1.
VAGRANT_BOXES: Final = {
    "virtualbox": ("bento/debian-13", "202510.26.0"),
    "libvirt": ("debian/trixie64", "13.20260519.1"),
}
VAGRANT_DOCKER_IMAGE: Final = "iot-lab/vagrant-debian:12"
VAGRANT_DOCKER_BASE: Final = "debian:bookworm-slim"
