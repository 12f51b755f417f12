"""Where alerts go: what a channel is, and the log."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from lakeline.errors import SettingsError

if TYPE_CHECKING:
    from lakeline.freshness.alerts import Alert

_LEVELS = {"recovered": logging.INFO, "about_to_break": logging.WARNING, "budget": logging.WARNING}


class DeliveryError(SettingsError):
    """A channel did not take an alert.

    Attributes:
        is_refusal: Whether it answered that it will not have this one; else it may take it, or another, later.
    """

    can_retry = True

    def __init__(self, channel: str, host: str, reason: str, *, is_refusal: bool = False) -> None:
        self.is_refusal = is_refusal
        super().__init__(
            f"The channel {channel} at {host} did not take an alert: {reason}. Check its address in the settings and "
            "that this machine reaches it."
        )


class Channel(Protocol):
    """Takes alerts."""

    @property
    def name(self) -> str:
        """One word, other than that of every other channel."""
        ...

    def send(self, alert: "Alert") -> None:
        """Pass an alert on.

        Raises:
            DeliveryError: It was not taken.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LogChannel:
    """Writes each alert to the log ``lakeline.alerts``."""

    name: str = "log"

    def send(self, alert: "Alert") -> None:
        """Write one line, and one more for each step to the cause."""
        lines = [f"{alert.kind}: {alert.message} (since {alert.since:%Y-%m-%d %H:%M} UTC)"]
        logging.getLogger("lakeline.alerts").log(
            _LEVELS.get(alert.kind, logging.ERROR), "%s", "\n  because ".join([*lines, *alert.path])
        )
