"""The source of functions, classes and modules of the project, without comments, docstrings and places.

A file is parsed once however many of its functions are asked for; `inspect` would read it again for each.
"""

import ast
import copy
import functools
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator
from pathlib import Path

Code = types.FunctionType | type
_LIBRARY = Path(__file__).parents[1]
"""lakeline itself is a library like any other, also where it is worked on (decision 0022)."""
_STANDARD = Path(ast.__file__).parent
_INSTALLED = (_STANDARD, _LIBRARY)
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Place = tuple[int, str] | str
"""First line, decorators included, and name of a function; qualified name of a class; `MODULE` for all of a file."""
MODULE = ""
_UNSAID = frozenset({"ctx", "kind", "type_comment"})
"""Fields of a tree that follow from where a node stands, or are only how it is written."""


def meaning(thing: Code, *, is_decorated: bool = True) -> str:
    """What a function or class says.

    Args:
        thing: Of the project; one without a file, as from a shell, is known by its bytecode.
        is_decorated: Whether its own decorators count.
    """
    found = _find(thing)
    if found is None:
        code = getattr(thing, "__code__", None)
        return repr((code.co_code, code.co_names)) if code is not None else thing.__qualname__
    return _text(*found, is_decorated)


def module_meaning(path: Path) -> str:
    """What a module says."""
    return _text(path, path.stat().st_mtime_ns, MODULE, True)


def imports(thing: Code) -> tuple[str, ...]:
    """Dotted names that a function or class imports when it runs: each may be a module, or a member of one."""
    found = _find(thing)
    package = getattr(sys.modules.get(thing.__module__), "__package__", None) or ""
    return _imports(*found, package) if found is not None else ()


def module_imports(path: Path, package: str) -> tuple[str, ...]:
    """Dotted names that a module imports, wherever in it.

    Args:
        path: Its file.
        package: Where its relative imports begin.
    """
    return _imports(path, path.stat().st_mtime_ns, MODULE, package)


def asked_when_defined(thing: Code) -> tuple[tuple[str, ...], ...]:
    """Names that are looked up once, when a function or class is defined: of its defaults, of a class's own statements."""
    found = _find(thing)
    return _asked_when_defined(*found) if found is not None else ()


def _find(thing: Code) -> tuple[Path, int, Place] | None:
    """File, its state and the place in it of a function or class; None if it was made from text."""
    path = source_file(thing)
    if path is None or not path.exists():
        return None
    place: Place = (
        thing.__qualname__
        if isinstance(thing, type)
        else (thing.__code__.co_firstlineno, thing.__code__.co_name)
    )
    made = path.stat().st_mtime_ns
    return (path, made, place) if _node(path, made, place) is not None else None


def source_file(thing: Code) -> Path | None:
    """The Python file that a function or class stands in; None for what was made from text, or compiled by others."""
    if isinstance(thing, types.FunctionType):
        path: str | None = thing.__code__.co_filename
    else:
        path = getattr(sys.modules.get(thing.__module__), "__file__", None)
    return Path(path) if path is not None and path.endswith(".py") else None


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
    """Whether a file is neither of Python itself nor of an installed package, nor of lakeline."""
    if path is None or path.startswith("<"):
        return False
    place = Path(path)
    if {"site-packages", "dist-packages"} & set(place.parts):
        return False
    return not any(folder in place.parents for folder in _INSTALLED)


@functools.lru_cache(maxsize=4096)
def _text(path: Path, made: int, place: Place, is_decorated: bool) -> str:  # noqa: FBT001 - a key of the cache
    node = _node(path, made, place)
    assert node is not None
    if isinstance(node, Definition) and not is_decorated:
        node = copy.copy(node)
        node.decorator_list = []
    return written(node)


def written(value: object) -> str:
    """A tree as text that is the same in every version of Python; `ast.unparse` and `ast.dump` are not."""
    if isinstance(value, ast.JoinedStr):  # Python 3.12 puts an empty text behind a nested format.
        return f"JoinedStr({[written(one) for one in value.values if getattr(one, 'value', None) != '']})"
    if isinstance(value, ast.AST):
        said = []
        for name in value._fields:
            one = getattr(value, name, None)
            if one is not None and one != [] and name not in _UNSAID:
                said.append(f"{name}={written(one)}")
        return f"{type(value).__name__}({', '.join(said)})"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return repr(value)


@functools.lru_cache(maxsize=4096)
def _imports(path: Path, made: int, place: Place, package: str) -> tuple[str, ...]:
    node = _node(path, made, place)
    assert node is not None
    found: list[str] = []
    if "Import" not in _text(path, made, place, True):
        return ()
    for one in ast.walk(node):
        if isinstance(one, ast.Import):
            found += [alias.name for alias in one.names]
        elif isinstance(one, ast.ImportFrom):
            base = "." * one.level + (one.module or "")
            base = importlib.util.resolve_name(base, package) if one.level else base
            found += [base, *(f"{base}.{alias.name}" for alias in one.names)]
    return tuple(found)


@functools.lru_cache(maxsize=4096)
def _asked_when_defined(path: Path, made: int, place: Place) -> tuple[tuple[str, ...], ...]:
    node = _node(path, made, place)
    parts: list[ast.AST | None] = []
    if isinstance(node, ast.ClassDef):
        own = (one for one in node.body if not isinstance(one, Definition))
        parts = [one.value if isinstance(one, ast.AnnAssign) else one for one in own]
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        parts = [*node.args.defaults, *node.args.kw_defaults]
    return tuple(chain for one in parts if one is not None for chain in chains(one))


def _node(path: Path, made: int, place: Place) -> ast.AST | None:
    if place == MODULE:
        return parsed(path, made)
    if isinstance(place, tuple) and place[1] == "<lambda>":
        return _lambdas(path, made).get(place[0])
    return _definitions(path, made).get(place)


@functools.lru_cache(maxsize=512)
def parsed(path: Path, _made: int) -> ast.Module:
    """The tree of a file, without docstrings and what is for type checkers alone."""
    tree = ast.parse(path.read_bytes())
    _drop_words(tree)
    return tree


@functools.lru_cache(maxsize=512)
def _definitions(path: Path, made: int) -> dict[Place, ast.AST]:
    found: dict[Place, ast.AST] = {}
    waiting: list[tuple[ast.AST, str]] = [(parsed(path, made), "")]
    while waiting:
        parent, prefix = waiting.pop()
        for node in statements(parent):
            inside = prefix
            if isinstance(node, ast.ClassDef):
                inside = f"{prefix}{node.name}."
                found[prefix + node.name] = node
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inside = f"{prefix}{node.name}.<locals>."
                found[min(one.lineno for one in (node, *node.decorator_list)), node.name] = node
            waiting.append((node, inside))
    return found


@functools.lru_cache(maxsize=512)
def _lambdas(path: Path, made: int) -> dict[int, ast.AST]:
    """The statement, or part of one, around the lambda that begins on a line: a line may hold two."""
    found: dict[int, ast.AST] = {}
    for parent in ast.walk(parsed(path, made)):
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.Lambda):
                found.setdefault(node.lineno, parent)
    return found


def chains(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """The names that a statement mentions, with the members that are asked of each at once."""
    members: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        members.append(inner.attr)
        inner = inner.value
    if isinstance(inner, ast.Name):
        yield (inner.id, *reversed(members))
    else:
        for child in ast.iter_child_nodes(inner):
            yield from chains(child)


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """The statements inside a statement, those of its branches too; no expressions."""
    for name in ("body", "orelse", "finalbody", "handlers", "cases"):
        inner = getattr(node, name, None)
        yield from inner if isinstance(inner, list) else ()


def _drop_words(tree: ast.AST) -> None:
    """Take out docstrings and what is imported for type checkers alone, in place."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Definition | ast.Module) and ast.get_docstring(node, clean=False):
            node.body[0] = ast.Pass()
        elif isinstance(node, ast.If) and not node.orelse and _is_for_types(node.test):
            node.body = [ast.Pass()]
        waiting.extend(statements(node))


def _is_for_types(test: ast.expr) -> bool:
    return (
        getattr(test, "id", None) == "TYPE_CHECKING"
        or getattr(test, "attr", None) == "TYPE_CHECKING"
    )
