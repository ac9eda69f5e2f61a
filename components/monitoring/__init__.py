"""Prometheus, Alertmanager and kube-state-metrics: what is seen of a stack, and told."""
