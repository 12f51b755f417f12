"""The source of functions, classes and modules of the project, without comments, docstrings and places.

A file is parsed once however many of its functions are asked for; `inspect` would read it again for each.
"""

import ast
import functools
import importlib.machinery
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path

Code = types.FunctionType | type
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_INSTALLED = frozenset(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib"))


def meaning(thing: Code, *, is_decorated: bool = True) -> str:
    """What a function or class says.

    Args:
        thing: Of the project; one without a file, as from a shell, is known by its bytecode.
        is_decorated: Whether its own decorators count.
    """
    node = definition(thing)
    if node is None:
        code = getattr(thing, "__code__", None)
        return repr((code.co_code, code.co_names)) if code is not None else thing.__qualname__
    if is_decorated or not isinstance(node, _DEFINITIONS):
        return ast.unparse(node)
    decorators, node.decorator_list = node.decorator_list, []
    try:
        return ast.unparse(node)
    finally:
        node.decorator_list = decorators


@functools.cache
def module_meaning(path: Path) -> str:
    """What a module says."""
    return ast.unparse(_tree(path, path.stat().st_mtime_ns))


def definition(thing: Code) -> ast.AST | None:
    """The syntax tree of a function or class; None if its file is gone or it was made from text."""
    path = source_file(thing)
    if path is None:
        return None
    try:
        by_place = _definitions(path, path.stat().st_mtime_ns)
    except (OSError, SyntaxError):
        return None
    if isinstance(thing, type):
        return by_place.get(thing.__qualname__)
    return by_place.get((thing.__code__.co_firstlineno, thing.__name__))


def source_file(thing: Code) -> Path | None:
    """The file that a function or class stands in; None for what was made from text."""
    if isinstance(thing, types.FunctionType):
        path = thing.__code__.co_filename
    else:
        path = getattr(_module(thing), "__file__", None) or "<none>"
    return None if path.startswith("<") else Path(path)


def imports(tree: ast.AST, package: str) -> Iterator[Path]:
    """Files of the project that a function or module imports, wherever in it; none is imported for this.

    Args:
        tree: Of the function or module.
        package: Of the module, which relative imports begin at.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package) if node.level else str(node.module)
            candidates = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from (path for name in candidates if (path := locate(name)) is not None)


@functools.cache
def locate(module: str) -> Path | None:
    """The file of a module of the project; None for a module of an installed package, or for no module."""
    places: list[str] | None = None
    spec = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:depth]), places)
        if spec is None:
            return None
        places = list(spec.submodule_search_locations or ())
    path = spec.origin if spec is not None else None
    return Path(path) if path is not None and path.endswith(".py") and is_project_file(path) else None


@functools.cache
def is_project_file(path: str | None) -> bool:
    """Whether a file is neither of Python itself nor of an installed package."""
    if path is None or path.startswith("<"):
        return False
    place = Path(path)
    if {"site-packages", "dist-packages"} & set(place.parts):
        return False
    return not any(place.is_relative_to(folder) for folder in _INSTALLED)
