"""Texts as every database takes them: words of errors may hold what none can store."""

from collections.abc import Mapping
from typing import Any


def storable(text: str) -> str:
    r"""The text with lone surrogates and NULs written out, so that people still see what was there.

    UTF-8 has no lone surrogate, which file names that are no UTF-8 bring in, and Postgres takes no NUL.

    >>> print(storable("no file till-\udcff.csv"), "and", storable("bad byte \x00 in a café"))
    no file till-\udcff.csv and bad byte \x00 in a café
    """
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", r"\x00")


def storable_json(value: Any) -> Any:
    """What JSON can hold, with every text in it storable."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable_json(key): storable_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [storable_json(one) for one in value]
    return value
