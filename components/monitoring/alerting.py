"""When somebody is told, and how: the rules of Prometheus, and the receivers of Alertmanager."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    import pulumi

    from components.core.settings import ObservabilitySettings

FOLDER: Final = Path(__file__).parent / "rules"
ARGOCD: Final = "http://argocd.invalid/"  # what stands in the rules for the address of Argo CD's page
RECEIVERS: Final = "/etc/receivers"  # a file for each secret
WEBHOOK: Final = "webhook-url"
SLACK: Final = "slack-url"
MAIL: Final = "mail-password"
SEALING: Final = "sealing"  # the file about the key of sealed secrets
KEY_MADE: Final = "sealing_key_made_timestamp_seconds"  # the series that says when it was made
_TEXT: Final = """{{ range .Alerts }}{{ .Annotations.summary }}
{{ .Annotations.description }}
{{ .Annotations.application }}
{{ end }}"""


def rules(argocd: str, key_made: pulumi.Output[int] | None) -> dict[str, Any]:
    """Return the rules by the name of their file, as Prometheus is given them.

    Args:
        argocd: the address of Argo CD's page, with a slash at the end.
        key_made: when the key was made that secrets are sealed with, in seconds since 1970; None when there are none.
    """
    found = files(argocd)
    (group,) = found.pop(SEALING)["groups"]
    if key_made is None:
        return found
    # Nobody else says it. Rules of a group are evaluated in their order.
    made = {"record": KEY_MADE, "expr": key_made.apply(lambda seconds: f"vector({seconds})")}
    return {**found, SEALING: {"groups": [{**group, "rules": [made, *group["rules"]]}]}}


def files(argocd: str) -> dict[str, Any]:
    """Return what the files of the rules have, by their names.

    Args:
        argocd: as above.
    """
    return {
        path.stem: yaml.safe_load(path.read_text(encoding="utf-8").replace(ARGOCD, argocd))
        for path in sorted(FOLDER.glob("*.yaml"))
    }


def config(settings: ObservabilitySettings) -> dict[str, Any]:
    """Return Alertmanager's configuration, which names the files with the secrets.

    https://prometheus.io/docs/
    """
    receiver: dict[str, Any] = {"name": "people"}
    if settings.webhook:
        receiver["webhook_configs"] = [{"url_file": f"{RECEIVERS}/{WEBHOOK}", "send_resolved": True}]
    if settings.slack:
        receiver["slack_configs"] = [
            {"api_url_file": f"{RECEIVERS}/{SLACK}", "send_resolved": True, "text": _TEXT},
        ]
    if settings.mail:
        mail = settings.mail
        found = {"to": mail.to, "from": mail.sender, "smarthost": mail.server, "send_resolved": True}
        if mail.username:
            found |= {"auth_username": mail.username, "auth_password_file": f"{RECEIVERS}/{MAIL}"}
        receiver["email_configs"] = [found]
    return {
        "route": {
            "receiver": receiver["name"],
            "group_by": ["environment", "alertname"],
            "group_wait": "10s",
            "group_interval": "1m",
            "repeat_interval": "4h",
        },
        "receivers": [receiver],
    }


def secrets(settings: ObservabilitySettings) -> dict[str, pulumi.Output[str]]:
    """Return the secrets of the receivers, by the file that each is in."""
    found = {WEBHOOK: settings.webhook, SLACK: settings.slack, MAIL: settings.mail_password}
    return {name: value for name, value in found.items() if value}
