"""One thing that `lakeline doctor` found, and what findings have to say of addresses."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        todo: The way out; empty where nothing is to be done.
    """

    status: Literal["ok", "warn", "fail"]
    subject: str
    said: str
    todo: str = ""


def without_secret(uri: str) -> str:
    """An address without user and password."""
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def is_unborn(url: str) -> bool:
    """Whether a SQLite database is not there yet; looking at it would make it."""
    return url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).exists()


def is_gone(warehouse: str) -> bool:
    """Whether the folder of data files is not there; of a bucket that cannot be told without asking."""
    path = warehouse.removeprefix("file://")
    return "://" not in path and not Path(path).is_dir()
