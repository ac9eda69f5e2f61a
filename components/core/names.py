"""Names that the program gives, and that what looks at a stack has to know. It imports nothing of the project."""

from __future__ import annotations

import re
from typing import Final, Literal, get_args

PROJECT: Final = "iot"  # Pulumi's project, and the namespace of its settings
PARTS: Final = ("p1", "p2", "p3")
STACKS: Final = (*PARTS, "platform")  # those that come with the project; platform is p3 with its features on
Delivery = Literal["deployment", "canary", "blueGreen"]
PROGRESSIVE: Final[tuple[str, ...]] = get_args(Delivery)[1:]  # a version has to prove itself
K3D_ROLE: Final = "k3d.role"  # k3d's label of a container
K3D_NODES: Final = ("server", "agent")  # its values for those that are nodes
EMBEDDED_BRANCH: Final = "main"  # the only one that the embedded Git server begins with
# https://pkg.go.dev/github.com/distribution/reference: registry/repository, then a tag or a digest, or both.
IMAGE: Final = re.compile(
    r"(?P<repository>(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
    r"(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?"
)

ARGOCD: Final = "argocd"  # the namespace of Argo CD, and its release
ARGOCD_ACCOUNT: Final = "argocd-manager"  # Argo CD's in further clusters, as its own `argocd cluster add` names it
SEALED_SECRETS: Final = "sealed-secrets"  # the namespace of Sealed Secrets' controller, and its release
ROLLOUTS: Final = "argo-rollouts"  # the namespace of Argo Rollouts' controller, and its release
ROLLOUTS_CONTROLLER: Final = f"{ROLLOUTS}-controller"  # its roles in namespaces
MONITORING: Final = "monitoring"  # the namespace of Prometheus, Alertmanager and kube-state-metrics
PROMETHEUS: Final = "prometheus"  # its release, its Service
PROMETHEUS_PORT: Final = 9090  # of that Service
PROMETHEUS_NODE_PORT: Final = 30090  # where further clusters ask it, on the network that they share
ALERTMANAGER: Final = "alertmanager"  # its Service
ALERTMANAGER_PORT: Final = 9093  # of that Service
GRAFANA: Final = "grafana"  # its Deployment, its Service
GRAFANA_PORT: Final = 3000  # of that Service
IN_CLUSTER: Final = "in-cluster"  # how Argo CD and metrics call the cluster that Argo CD is in
APP: Final = "flask-app"  # p3's Application, Deployment and Service
APP_NAMESPACE: Final = "dev"  # where p3's app runs
WEB_NAMESPACE: Final = "web"  # where p2's apps run
APPLICATION: Final = "applications.argoproj.io"  # the kind, as kubectl has it
IMAGE_ANNOTATION: Final = "iot/image"  # of an Application: what the settings say that it runs

# The user's own folder for temporary files, when Pulumi is run with another one that goes with it.
TEMPORARY: Final = "IOT_TMPDIR"
BEGINS: Final = "IOT_BEGINS"  # set for an `up` of a stack whose state knows nothing yet
