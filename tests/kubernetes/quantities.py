"""Sizes and times as Kubernetes writes them."""

import re
from datetime import UTC, datetime

_QUANTITY = re.compile(r"([0-9.]+(?:[eE][+-]?\d+)?)(m|[kMGTPE]|[KMGTPE]i)?")


def number(quantity: str | float) -> float:
    """What a quantity amounts to.

    >>> number("500m"), number("1k"), number("2Ki"), number(3)
    (0.5, 1000.0, 2048.0, 3.0)
    """
    match = _QUANTITY.fullmatch(str(quantity))
    assert match, f"{quantity!r} is no quantity"
    digits, suffix = match.groups()
    if not suffix:
        return float(digits)
    if suffix == "m":
        return float(digits) / 1000
    base = 1024 if suffix.endswith("i") else 1000
    return float(digits) * float(base) ** " KMGTPE".index(suffix[0].upper())


def timestamp() -> str:
    """Now, as the server keeps times: to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def precise_timestamp() -> str:
    """Now, to the microsecond, as leases need it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_timestamp(text: str) -> datetime:
    """A time that the server wrote."""
    return datetime.fromisoformat(text)
