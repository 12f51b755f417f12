"""Functions, classes and modules of the project, found in the files that they stand in."""

import functools
import importlib.util
import os
import sys
import types
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from lakeline.domain.outline import MODULE, Chain, Piece, outline, place_of

Code = types.FunctionType | type
_LIBRARY = Path(__file__).parents[1]
"""lakeline itself is a library like any other, also where it is worked on (decision 0022)."""
_STANDARD = Path(os.__file__).parent
_INSTALLED = (f"{_STANDARD}{os.sep}", f"{_LIBRARY}{os.sep}")


def meaning(thing: Code, *, is_decorated: bool = True) -> str:
    """What a function or class says, as a digest.

    Args:
        thing: Of the project; one without a file, as from a shell, is known by its bytecode.
        is_decorated: Whether its own decorators count.
    """
    piece = _piece(thing)
    if piece is None:
        code = getattr(thing, "__code__", None)
        return repr((code.co_code, code.co_names)) if code is not None else thing.__qualname__
    return piece.text if is_decorated else piece.bare


def module_meaning(path: str) -> str:
    """What a module says, as a digest."""
    return _module(path).text


def imports(thing: Code) -> Iterator[str]:
    """Dotted names that a function or class imports when it runs: each may be a module, or a member of one."""
    piece = _piece(thing)
    if piece is not None and piece.imports:
        package = getattr(sys.modules.get(thing.__module__), "__package__", None) or ""
        yield from _imports(piece, package)


def module_imports(path: str, package: str) -> Iterator[str]:
    """Dotted names that a module imports, wherever in it.

    Args:
        path: Its file.
        package: Where its relative imports begin.
    """
    return _imports(_module(path), package)


def asked_when_defined(thing: Code) -> Sequence[Chain]:
    """Names that are looked up once, when a function or class is defined: of its defaults, of a class's own statements."""
    piece = _piece(thing)
    return piece.asked if piece is not None else ()


def names(function: types.FunctionType) -> Sequence[Chain]:
    """Globals that a function looks up when it runs, and what is defined inside it."""
    piece = _piece(function)
    if piece is None:
        from lakeline.domain.syntax import chains_of

        return chains_of(function.__code__)
    return piece.names


def _piece(thing: Code) -> Piece | None:
    """What is said where a function or class stands; None if it was made from text."""
    path = source_file(thing)
    found = outline(path) if path is not None else None
    if found is None:
        return None
    if isinstance(thing, type):
        return found.pieces.get(thing.__qualname__)
    return found.pieces.get(place_of(thing.__code__.co_firstlineno, thing.__code__.co_name))


def _module(path: str) -> Piece:
    found = outline(path)
    return found.pieces[MODULE] if found is not None else Piece(text="", bare="")


def _imports(piece: Piece, package: str) -> Iterator[str]:
    for level, module, name in piece.imports:
        base = importlib.util.resolve_name("." * level + module, package) if level else module
        yield base
        if name:
            yield f"{base}.{name}"


def source_file(thing: Code) -> str | None:
    """The Python file that a function or class stands in; None for what was made from text, or compiled by others."""
    if isinstance(thing, types.FunctionType):
        path: str | None = thing.__code__.co_filename
    else:
        path = getattr(sys.modules.get(thing.__module__), "__file__", None)
    return path if path is not None and path.endswith(".py") else None


def locate(module: str) -> str | None:
    """The file of a module of the project; None for a module of an installed package, or for no module."""
    found = spec_of(module)
    return found.origin if found is not None and _is_ours(found) else None


@functools.cache
def spec_of(module: str) -> ModuleSpec | None:
    """A module of the project, or of a folder without ``__init__.py``, which may hold some; nothing is imported for it."""
    package = module.rpartition(".")[0]
    places: Sequence[str] | None = None
    if package:
        around = spec_of(package)
        if around is None or around.submodule_search_locations is None:
            return None
        places = around.submodule_search_locations
    found = PathFinder.find_spec(module, places)
    return found if found is not None and (found.origin is None or _is_ours(found)) else None


def _is_ours(found: ModuleSpec) -> bool:
    return (
        found.origin is not None and found.origin.endswith(".py") and is_project_file(found.origin)
    )


@functools.cache
def is_project_file(path: str | None) -> bool:
    """Whether a file is neither of Python itself nor of an installed package, nor of lakeline."""
    if path is None or path.startswith(("<", *_INSTALLED)):
        return False
    return {"site-packages", "dist-packages"}.isdisjoint(path.split(os.sep))  # noqa: PTH206 - a tenth of the time
