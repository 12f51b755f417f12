"""What a function or class leads to: the globals and closures it mentions, and the modules it imports when it runs."""

import enum
import functools
import sys
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from lakeline.domain.assignments import Assignment
from lakeline.domain.source import Code, asked_when_defined, imports, is_project_file, locate, names

Scope = Mapping[str, Any]


class Mention(NamedTuple):
    """Something that code mentions.

    Attributes:
        name: As the code says it, such as ``LIMIT`` or ``helpers.LIMIT``.
        value: What it is at present.
        scope: Names of the module that it is one of; None for a closure, a default and a member of a class.
        is_hidden: Whether no statement shows what it holds: one of a closure, and of what a function made.
    """

    name: str
    value: Any
    scope: Scope | None = None
    is_hidden: bool = False

    @property
    def assignment(self) -> Assignment | None:
        """Where it is given its value, if that is in a module of the project."""
        file = self.scope.get("__file__") if self.scope is not None else None
        if self.scope is None or not str(file).endswith(".py") or not is_project_file(file):
            return None
        return Assignment(self.scope["__name__"], str(file), self.name.rpartition(".")[2])


def mentioned(thing: Any) -> Iterator[Mention]:
    """Each global and closure that a function, a class or an assignment mentions; ``module.name`` is followed."""
    if isinstance(thing, Assignment):
        yield from _of_assignment(thing)
    elif isinstance(thing, type):
        yield from _of_class(thing)
        yield from _when_defined(thing, _names_in(thing.__module__))
    elif isinstance(thing, types.FunctionType):
        cells = zip(thing.__code__.co_freevars, thing.__closure__ or (), strict=True)
        for name, cell in cells:
            if _is_filled(cell):
                yield Mention(name, cell.cell_contents, is_hidden=True)
        for value in (thing.__defaults__, thing.__kwdefaults__):
            if value:
                yield Mention("(default)", value, is_hidden=is_made(thing))
        yield from _when_defined(thing, thing.__globals__)
        for chain in names(thing):
            yield from _followed(chain, thing.__globals__)


def run_imports(thing: Code) -> Iterator[str]:
    """Modules of the project that a function or class imports when it runs; none is imported for this."""
    yield from (name for name in imports(thing) if locate(name) is not None)


def imported_values(thing: Code) -> Iterator[Any]:
    """What a function imports when it runs, as far as its modules are loaded already."""
    for name in imports(thing):
        module, _, member = name.rpartition(".")
        if member and hasattr(sys.modules.get(module), member):
            yield getattr(sys.modules[module], member)


def is_made(thing: Code) -> bool:
    """Whether a function made it, and may have put values into it."""
    return "<locals>" in thing.__qualname__


def is_in_project(thing: Any) -> bool:
    """Whether a function or class stands in a file of the project; what a library makes from text does not."""
    if isinstance(thing, types.FunctionType):
        return is_project_file(thing.__code__.co_filename)
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    return isinstance(thing, type) and is_project_file(getattr(module, "__file__", None))


def _when_defined(thing: Code, scope: Scope) -> Iterator[Mention]:
    for chain in asked_when_defined(thing):
        yield from _followed(chain, scope)


def _of_assignment(thing: Assignment) -> Iterator[Mention]:
    """What a module's statements mention that assign a name, and where a name that is imported comes from."""
    scope = _names_in(thing.module)
    for chain in thing.statements().chains:
        yield from _followed(chain, scope)
    for origin, name in thing.origins(scope.get("__package__") or ""):
        there = _names_in(origin)
        if name in there:
            yield Mention(name, there[name], there)


def _names_in(module: str) -> Scope:
    """What a module holds at present; nothing if it is not loaded, or not any more."""
    return vars(sys.modules[module]) if module in sys.modules else {}


def _followed(chain: Sequence[str], scope: Scope) -> Iterator[Mention]:
    """The value that ``first.second.third`` begins with, as far as these are modules; of those the project's alone."""
    name, *members = chain
    if name not in scope or name.startswith("__"):  # __file__ says where the code lies
        return
    held = scope[name]
    for member in members:
        if not isinstance(held, types.ModuleType) or not hasattr(held, member):
            break
        name, scope, held = f"{name}.{member}", vars(held), getattr(held, member)
    if not isinstance(held, types.ModuleType) or is_project_file(getattr(held, "__file__", None)):
        yield Mention(name, held, scope)


def _of_class(thing: type) -> Iterator[Mention]:
    yield from (Mention(base.__qualname__, base) for base in thing.__bases__)
    if type(thing) is not type and is_in_project(type(thing)):
        yield Mention("metaclass", type(thing))
    for name, member in vars(thing).items():
        for function in functions_of(member):
            if isinstance(function, types.FunctionType):
                if is_in_project(function):
                    yield from mentioned(function)
            elif _is_own(thing, name):
                yield Mention(name, member, is_hidden=is_made(thing))


def _is_own(thing: type, name: str) -> bool:
    """Whether a member is not one that Python makes of the others, in other words from one version to the next."""
    if issubclass(thing, enum.Enum):
        return name == "_member_map_"
    if issubclass(thing, tuple) and name in getattr(thing, "_fields", ()):
        return False
    return not name.startswith("__")


def functions_of(member: Any) -> Sequence[Any]:
    """The functions behind a class's method, property, cached property or cached method; anything else is itself."""
    if isinstance(member, types.FunctionType):
        return (member,)
    if isinstance(member, classmethod | staticmethod):
        return (member.__func__,)
    if isinstance(member, property):
        return [one for one in (member.fget, member.fset, member.fdel) if one is not None]
    if isinstance(member, functools.cached_property):
        return (member.func,)
    if isinstance(member, functools.singledispatchmethod):
        return list(member.dispatcher.registry.values())
    is_cached = isinstance(member, functools._lru_cache_wrapper)
    return (member.__wrapped__ if is_cached else member,)


def _is_filled(cell: types.CellType) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:
        return False
    return True
