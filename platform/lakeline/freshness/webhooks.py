"""Channels on the web: a webhook that takes JSON, and Slack's incoming webhooks.

Addresses of webhooks are secrets: no error, log line or ``repr`` shows more of one than its host.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from lakeline.errors import SettingsError

if TYPE_CHECKING:
    from lakeline.freshness.alerts import Alert

_SIGNS = {
    "recovered": ":white_check_mark:",
    "about_to_break": ":hourglass:",
    "budget": ":moneybag:",
}
_SECTION_CHARACTERS = 2_900
"""Slack refuses a section of more than 3,000."""


class ChannelAddressError(SettingsError):
    """The address of a channel is none; it is not repeated, because it is a secret."""

    def __init__(self, channel: str) -> None:
        super().__init__(
            f"The address of the channel {channel} is none. Give one that begins with https:// or http://."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WebhookChannel:
    """Posts each alert as a JSON object: id, kind, asset, partition, topic, since, message, path."""

    url: str = field(repr=False)
    name: str = "webhook"

    def __post_init__(self) -> None:
        host_of(self.name, self.url)

    def send(self, alert: "Alert") -> None:
        """Post the alert.

        Raises:
            DeliveryError: The server is not reached, or answers anything but success.
        """
        from lakeline.freshness.posting import post

        post(self.name, self.url, self._content(alert))

    def _content(self, alert: "Alert") -> dict[str, Any]:
        return alert.as_json()


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackChannel(WebhookChannel):
    """Posts each alert to an incoming webhook of Slack, or of what speaks its format."""

    name: str = "slack"

    def _content(self, alert: "Alert") -> dict[str, Any]:
        return slack_message(alert)


def slack_message(alert: "Alert") -> dict[str, Any]:
    """An alert in Slack's format: ``text`` for notifications, ``blocks`` for the channel.

    See https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.
    """
    title = f"{alert.kind.replace('_', ' ')}: {alert.place}"
    sign = _SIGNS.get(alert.kind, ":red_circle:")
    since = f"since <!date^{int(alert.since.timestamp())}^{{date_num}} {{time}}|{alert.since:%Y-%m-%d %H:%M} UTC>"
    blocks = [_section(f"{sign} *{_escaped(title)}*\n{_escaped(alert.message)}")]
    if alert.path:
        blocks.append(_section("\n".join(f"↳ {_escaped(step)}" for step in alert.path)))
    blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": since}]})
    return {"text": _escaped(f"{title}: {alert.message}"), "blocks": blocks}


def _section(text: str) -> dict[str, Any]:
    cut = text if len(text) <= _SECTION_CHARACTERS else text[:_SECTION_CHARACTERS] + " …"
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut}}


def _escaped(text: str) -> str:
    """Text in which Slack finds no markup of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def host_of(channel: str, url: str) -> str:
    """The host of a channel's address, which may be shown.

    Raises:
        ChannelAddressError: It is no address of a web server.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise ChannelAddressError(channel) from None
    if parts.scheme not in ("http", "https") or not host:
        raise ChannelAddressError(channel)
    return host
