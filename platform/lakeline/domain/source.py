"""The source of functions, classes and modules of the project, without comments, docstrings and places.

A file is parsed once however many of its functions are asked for; `inspect` would read it again for each.
"""

import ast
import copy
import functools
import importlib.machinery
import importlib.util
import sys
import sysconfig
import types
from collections.abc import Iterator
from pathlib import Path

Code = types.FunctionType | type
_INSTALLED = frozenset(sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib"))
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Place = tuple[int, str] | str
"""First line, decorators included, and name of a function; qualified name of a class."""


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
    if isinstance(node, Definition) and not is_decorated:
        node = copy.copy(node)
        node.decorator_list = []
    return ast.unparse(node)


def module_meaning(path: Path) -> str:
    """What a module says."""
    return ast.unparse(module_tree(path))


def module_tree(path: Path) -> ast.Module:
    """The syntax tree of a module, without docstrings and what only type checkers read."""
    return _parsed(path, path.stat().st_mtime_ns)


def definition(thing: Code) -> ast.AST | None:
    """The syntax tree of a function or class; None if its file is gone or it was made from text."""
    path = source_file(thing)
    if path is None or not path.exists():
        return None
    places = _definitions(path, path.stat().st_mtime_ns)
    if isinstance(thing, type):
        return places.get(thing.__qualname__)
    return places.get((thing.__code__.co_firstlineno, thing.__code__.co_name))


def source_file(thing: Code) -> Path | None:
    """The file that a function or class stands in; None for what was made from text."""
    if isinstance(thing, types.FunctionType):
        path: str | None = thing.__code__.co_filename
    else:
        path = getattr(sys.modules.get(thing.__module__), "__file__", None)
    return None if path is None or path.startswith("<") else Path(path)


def imported_names(tree: ast.AST, package: str) -> Iterator[str]:
    """Dotted names that a function or module imports, wherever in it: each may be a module, or a member of one.

    Args:
        tree: Of the function or module.
        package: Where relative imports begin.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(base, package) if node.level else base
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


@functools.cache
def locate(module: str) -> Path | None:
    """The file of a module of the project; None for a module of an installed package, or for no module."""
    places: list[str] | None = None
    origin: str | None = None
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        spec = importlib.machinery.PathFinder.find_spec(".".join(parts[:depth]), places)
        if spec is None:
            return None
        places, origin = list(spec.submodule_search_locations or ()), spec.origin
    is_ours = origin is not None and origin.endswith(".py") and is_project_file(origin)
    return Path(str(origin)) if is_ours else None


@functools.cache
def is_project_file(path: str | None) -> bool:
    """Whether a file is neither of Python itself nor of an installed package."""
    if path is None or path.startswith("<"):
        return False
    place = Path(path)
    if {"site-packages", "dist-packages"} & set(place.parts):
        return False
    return not any(place.is_relative_to(folder) for folder in _INSTALLED)


@functools.lru_cache(maxsize=512)
def _parsed(path: Path, _made: int) -> ast.Module:
    tree = ast.parse(path.read_bytes())
    _Meaning().visit(tree)
    return tree


@functools.lru_cache(maxsize=512)
def _definitions(path: Path, made: int) -> dict[Place, ast.AST]:
    found: dict[Place, ast.AST] = {}
    waiting: list[tuple[ast.AST, str]] = [(_parsed(path, made), "")]
    while waiting:
        parent, prefix = waiting.pop()
        for node in ast.iter_child_nodes(parent):
            inside = prefix
            if isinstance(node, Definition):
                line = min(one.lineno for one in (node, *node.decorator_list))
                inside = f"{prefix}{node.name}."
                place: Place = (
                    f"{prefix}{node.name}" if isinstance(node, ast.ClassDef) else (line, node.name)
                )
                found[place] = node
                inside += "" if isinstance(node, ast.ClassDef) else "<locals>."
            elif isinstance(node, ast.Lambda):
                found.setdefault(
                    (node.lineno, "<lambda>"), parent
                )  # the whole statement: a line may hold two
            waiting.append((node, inside))
    return found


class _Meaning(ast.NodeTransformer):
    """Drops what does not change what code does."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if (
            isinstance(node, Definition | ast.Module)
            and isinstance(body, list)
            and ast.get_docstring(node, clean=False)
        ):
            body[0] = ast.copy_location(ast.Pass(), body[0])
        return node

    def visit_If(self, node: ast.If) -> ast.AST:
        """Types that are imported for checkers alone."""
        is_for_types = ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        return (
            ast.copy_location(ast.Pass(), node)
            if is_for_types and not node.orelse
            else self.generic_visit(node)
        )
