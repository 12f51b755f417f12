"""What a function or class leads to: the globals and closures it mentions, and the modules it imports when it runs."""

import dis
import functools
import sys
import types
from collections.abc import Iterator
from typing import Any

from lakeline.domain.source import Code, imports, is_project_file, locate

_MEMBERS = {"LOAD_ATTR", "LOAD_METHOD"}
_READS = {"LOAD_GLOBAL", "LOAD_NAME", *_MEMBERS}


def mentioned(thing: Any) -> Iterator[tuple[str, Any]]:
    """Name and value of each global and closure that a function, or a class, mentions; ``module.name`` is followed."""
    if isinstance(thing, type):
        yield from _of_class(thing)
    elif isinstance(thing, types.FunctionType):
        cells = zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True)
        yield from ((name, cell.cell_contents) for name, cell in cells if _is_filled(cell))
        yield from (
            ("(default)", value) for value in (thing.__defaults__, thing.__kwdefaults__) if value
        )
        for code in _codes(thing.__code__):
            yield from _globals_of(code, thing.__globals__)


def run_imports(thing: Code) -> Iterator[str]:
    """Modules of the project that a function or class imports when it runs; none is imported for this."""
    yield from (name for name in imports(thing) if locate(name) is not None)


def imported_values(thing: Code) -> Iterator[tuple[str, Any]]:
    """Name and value of what a function imports when it runs, as far as its modules are loaded already."""
    for name in imports(thing):
        module, _, member = name.rpartition(".")
        if member and hasattr(sys.modules.get(module), member):
            yield name, getattr(sys.modules[module], member)


def is_in_project(thing: Any) -> bool:
    """Whether a function or class stands in a file of the project; what a library makes from text does not."""
    if isinstance(thing, types.FunctionType):
        return is_project_file(thing.__code__.co_filename)
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    return isinstance(thing, type) and is_project_file(getattr(module, "__file__", None))


def _of_class(thing: type) -> Iterator[tuple[str, Any]]:
    yield from ((base.__qualname__, base) for base in thing.__bases__)
    for name, member in vars(thing).items():
        function = getattr(member, "__func__", getattr(member, "fget", member))
        if isinstance(function, types.FunctionType):
            if is_in_project(function):
                yield from mentioned(function)
        elif not name.startswith("__"):
            yield name, member


def _globals_of(code: types.CodeType, scope: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    held: Any = None
    path = ""
    for is_member, name in _steps(code):
        if not is_member and name in scope:
            path, held = name, scope[name]
        elif is_member and isinstance(held, types.ModuleType) and hasattr(held, name):
            path, held = f"{path}.{name}", getattr(held, name)
        else:
            held = None
            continue
        if not isinstance(held, types.ModuleType):
            yield path, held
            held = None


@functools.lru_cache(maxsize=4096)
def _steps(code: types.CodeType) -> tuple[tuple[bool, str], ...]:
    """The names that code loads, in order: whether each is a member of what came before, or stands alone."""
    return tuple(
        (step.opname in _MEMBERS, step.argval if step.opname in _READS else "")
        for step in dis.get_instructions(code)
    )


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A function's code and that of the functions, classes and comprehensions inside it."""
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
