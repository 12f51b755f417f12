"""What a Python file says, as plain data that is kept beside its bytecode.

Reading the files of a project anew costs half of what taking its code versions does, in each process that loads it. What was
read holds for as long as the file has the same bytes. Where Python may not keep bytecode, nothing is kept.
"""

import functools
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lakeline.kept import keep, kept, key_of

MODULE = ""
_READERS = (Path(__file__), Path(__file__).with_name("syntax.py"))
Chain = Sequence[str]
"""A name, and the members that are asked of it at once: ``helpers``, ``LIMIT``, ``real``."""
Origin = tuple[int, str, str]
"""Level, module and name of ``from module import name``; the name is empty for ``import module``."""


class Piece(NamedTuple):
    """A function, a class, a lambda or the whole of a file.

    Attributes:
        text: Digest of what it says, without comments, docstrings and places.
        bare: The same without its own decorators.
        imports: What it imports, wherever in it.
        asked: Names that are looked up once, when it is defined: of defaults, of a class's own statements.
        names: Globals that a function looks up when it runs.
    """

    text: str
    bare: str
    imports: Sequence[Origin] = ()
    asked: Sequence[Chain] = ()
    names: Sequence[Chain] = ()


class Statements(NamedTuple):
    """What gives a name of a module its value.

    Attributes:
        text: Digests of the statements, and of what decides whether they run.
        chains: Names that they mention.
        origins: Where the name may be imported from.
    """

    text: list[str]
    chains: list[Chain]
    origins: list[Origin]


class Outline(NamedTuple):
    """What a file says.

    Attributes:
        pieces: By place: `MODULE`, the qualified name of a class, or ``line:name`` of a function with its first line,
            decorators included. A lambda is what stands around it, since a line may hold two.
        assigned: By the name that is given a value, outside of functions and classes.
    """

    pieces: dict[str, Piece]
    assigned: dict[str, Statements]


def outline(path: str) -> Outline | None:
    """What a file says; None if it is not there."""
    try:
        made = os.stat(path).st_mtime_ns  # noqa: PTH116 - asked for each function of a project: twice as fast
    except OSError:
        return None
    return _outline(path, made)


def place_of(line: int, name: str) -> str:
    """The place of a function in its outline."""
    return f"{line}:{name}"


@functools.lru_cache(maxsize=4096)
def _outline(path: str, _made: int) -> Outline:
    source = Path(path).read_bytes()
    place = Path(importlib.util.cache_from_source(path)).with_suffix(".outline")
    key = key_of(source, *_READERS)
    found = _understood(kept(place, key))
    if found is None:
        from lakeline.domain.syntax import read

        found = read(source)
        if not sys.dont_write_bytecode:
            keep(place, key, found)
    return found


def _understood(said: Any) -> Outline | None:
    try:
        pieces, assigned = said
        return Outline(
            {place: Piece(*one) for place, one in pieces.items()},
            {name: Statements(*one) for name, one in assigned.items()},
        )
    except (AttributeError, TypeError, ValueError):
        return None
