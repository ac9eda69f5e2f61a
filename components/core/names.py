"""Names in clusters that the program gives, and that what looks at a cluster has to know. It imports nothing."""

from __future__ import annotations

from typing import Final

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
