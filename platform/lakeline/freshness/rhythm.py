"""How often a source publishes, as its class says, so that a promise which nobody could keep is refused when declared."""

import datetime as dt
from typing import Any

from lakeline.errors import DomainError

Rhythm = tuple[dt.timedelta, dt.timedelta]
"""How often a source publishes, and how long after the end of what it publishes."""

_ZERO = dt.timedelta()


class RhythmError(DomainError):
    """A source's class says something else than lengths of time of its rhythm."""

    def __init__(self, asset: str, source: str, name: str, value: object) -> None:
        super().__init__(
            f"'{asset}' is read from {source}, whose {name} is {value!r}. Make publishes_every a timedelta above zero "
            "and publishes_after one that is not negative, or leave both out."
        )


def rhythm_of(asset: str, source: type | None) -> Rhythm | None:
    """What a source's class says in ``publishes_every`` and ``publishes_after``; None if it says nothing.

    Both are class attributes, or fields of a resource, whose defaults count. Nothing after is no time after.

    Raises:
        RhythmError: They are no lengths of time.
    """
    every = _said(source, "publishes_every")
    if source is None or every is None:
        return None
    after = _said(source, "publishes_after")
    after = _ZERO if after is None else after
    if not isinstance(every, dt.timedelta) or every <= _ZERO:
        raise RhythmError(asset, source.__name__, "publishes_every", every)
    if not isinstance(after, dt.timedelta) or after < _ZERO:
        raise RhythmError(asset, source.__name__, "publishes_after", after)
    return every, after


def _said(source: type | None, name: str) -> Any:
    fields = getattr(source, "model_fields", {})  # pydantic keeps a field's default off the class
    return fields[name].default if name in fields else getattr(source, name, None)
