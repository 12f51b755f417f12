"""The code version of an asset: a hash of its function and of what that calls in the project.

Comments, formatting and docstrings do not count; names, constants and called functions and classes do, as deep as they
live in the project. Code of installed packages is left out: their versions stand in the lock file.
"""

import ast
import functools
import hashlib
import inspect
import sys
import sysconfig
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

CONSTANTS = (int, float, str, bool, bytes, tuple, frozenset, type(None))


def code_version(function: Callable[..., Any], *more: str) -> str:
    """Twelve hexadecimal digits that change when the function, or project code that it calls, means something else.

    Args:
        function: A plain function, defined in a file.
        more: Texts that the result depends on too, such as the columns of a contract.
    """
    digest = hashlib.sha256()
    for name, meaning in sorted({**_meanings(function)}.items()):
        digest.update(f"{name}={meaning}\n".encode())
    for text in more:
        digest.update(text.encode())
    return digest.hexdigest()[:12]


def _meanings(function: Callable[..., Any]) -> dict[str, str]:
    """Qualified name → meaning of everything in the project that the function reaches."""
    found: dict[str, str] = {}
    waiting: list[Any] = [function]
    while waiting:
        thing = inspect.unwrap(waiting.pop())
        name = f"{thing.__module__}.{thing.__qualname__}"
        if name in found:
            continue
        found[name] = _meaning(thing)
        for called_name, called in mentioned(thing):
            if isinstance(called, CONSTANTS):
                found[f"{name}:{called_name}"] = repr(called)
            elif _is_in_project(called):
                waiting.append(called)
    return found


def mentioned(thing: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of each global that a function, or a method of a class, mentions; ``module.name`` is followed."""
    if isinstance(thing, type):
        for member in vars(thing).values():
            if isinstance(member, types.FunctionType) and not _is_generated(member):
                yield from mentioned(member)
        return
    code = getattr(thing, "__code__", None)
    if code is None:
        return
    scope = getattr(thing, "__globals__", {})
    cells = zip(code.co_freevars, thing.__closure__ or (), strict=False)
    yield from ((name, cell.cell_contents) for name, cell in cells if _is_filled(cell))
    for inner in _codes(code):
        yield from _globals_of(inner, scope)


def _globals_of(code: types.CodeType, scope: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name in code.co_names:
        value = scope.get(name)
        if isinstance(value, types.ModuleType):
            members = ((f"{name}.{member}", getattr(value, member, None)) for member in code.co_names)
            yield from ((path, one) for path, one in members if callable(one) or isinstance(one, CONSTANTS[:5]))
        elif name in scope:
            yield name, value


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A function's code and that of the functions and comprehensions inside it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True


def _is_generated(function: types.FunctionType) -> bool:
    """Whether a library made a function from text, as dataclasses make ``__init__``: its class says all it says."""
    return function.__code__.co_filename.startswith("<")


def _is_in_project(thing: Any) -> bool:
    plain = inspect.unwrap(thing) if callable(thing) else thing
    if not isinstance(plain, types.FunctionType | type) or (
        isinstance(plain, types.FunctionType) and _is_generated(plain)
    ):
        return False
    module = sys.modules.get(getattr(thing, "__module__", "") or "")
    return module is not None and _is_project_file(getattr(module, "__file__", None))


@functools.cache
def _is_project_file(path: str | None) -> bool:
    if path is None:
        return False
    installed = {sysconfig.get_path(kind) for kind in ("stdlib", "purelib", "platlib")}
    return not any(Path(path).is_relative_to(folder) for folder in installed)


@functools.cache
def _meaning(thing: Any) -> str:
    """The syntax tree of a function or class without docstrings and places."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and ast.get_docstring(node):
            body[0] = ast.Pass()  # type: ignore[index]
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.decorator_list = []
    return ast.dump(tree)
