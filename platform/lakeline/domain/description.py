"""Values as text that is equal for equal values, and the project's code among them.

An object says its class, and nothing of its state, which may hold a path of the machine or a connection. Where one was met,
the text is not all that there is to say: whoever asks reads the statement that made it. Only where there is none, as in a
closure, it says what it holds.
"""

import datetime as dt
import enum
import functools
import re
import types
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from lakeline.contract.columns import WORDS, Undeclared
from lakeline.contract.declaration import Contract, ContractMeta
from lakeline.contract.promise import promise
from lakeline.domain.held import UNKNOWN, held
from lakeline.domain.reach import functions_of, is_in_project, is_made
from lakeline.domain.source import Code, is_project_file

_PLAIN = (
    types.NoneType,
    bool,
    int,
    float,
    complex,
    str,
    bytes,
    dt.timedelta,
    dt.datetime,
    dt.date,
    dt.time,
    dt.timezone,
    Decimal,
)
"""Types of plain values; a datetime is a date too, and said first."""
_MOST = frozenset({types.NoneType, bool, int, float, str})
"""Types of most values in a contract, known at once."""
_MAPPINGS = (dict, types.MappingProxyType)
"""No other: os.environ is one, and differs in every process."""
_SEQUENCES = (list, tuple)
_SETS = (set, frozenset)
_CONTAINERS = frozenset({*_MAPPINGS, *_SEQUENCES, *_SETS})
_BUILTIN = (types.BuiltinMethodType, types.MethodDescriptorType)
_SIMPLE = _MOST - {float}
"""Types of which equal values are one value: 0.0 and -0.0 are two."""


@dataclass(kw_only=True, slots=True)
class Description:
    """Describes values; functions and classes are named in the text, and noted to be read.

    Attributes:
        roots: Identities of functions and classes that are noted wherever they stand.
        is_deep: Whether objects say what they hold.
        code: By identity, functions and classes of the project that were met.
        modules: Names of modules that were met.
        is_whole: Whether the text says all of the values; not where an object among them does not show what it holds.
    """

    roots: frozenset[int] = frozenset()
    is_deep: bool = False
    code: dict[int, Code] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)
    is_whole: bool = True
    _around: set[int] = field(default_factory=set)
    _told: frozenset[int] = frozenset()
    """Objects that have said what they hold: once is enough where many hold each other."""

    def of(self, value: object) -> str:
        """Text that is equal for equal values."""
        if type(value) in _MOST:
            return repr(value)
        if is_dataclass(type(value)):  # asked first: a contract is made of them
            return self._once(value, self._of_dataclass)
        if isinstance(value, enum.Enum):
            return self._of_member(value)
        if isinstance(value, _PLAIN):
            return self._of_plain(value)
        return self._once(value, self._of_container)

    def _once(self, value: object, describe: Callable[[Any], str]) -> str:
        """The description of a value that may hold itself."""
        if id(value) in self._around:
            return "(itself)"
        self._around.add(id(value))
        try:
            return describe(value)
        finally:
            self._around.discard(id(value))

    def _of_member(self, value: enum.Enum) -> str:
        self._note(type(value))
        return f"{full_name(type(value))}.{value.name}={self.of(value.value)}"

    def _of_plain(self, value: object) -> str:
        plain: Any = next(one for one in _PLAIN if isinstance(value, one))
        said = plain.__repr__(value)  # as a class of the project may say it in other words
        return said if type(value) is plain else self._of_more(value, said)

    def _of_container(self, value: object) -> str:
        if isinstance(value, _MAPPINGS):
            items = (f"{self.of(key)}: {self.of(one)}" for key, one in value.items())
            said = f"{{{', '.join(items)}}}"
        elif isinstance(value, _SEQUENCES):
            said = f"[{', '.join(map(self.of, value))}]"
        elif isinstance(value, _SETS):
            said = f"{{{', '.join(sorted(self._of_each(value)))}}}"
        else:
            return self._of_object(value)
        return said if type(value) in _CONTAINERS else self._of_more(value, said)

    def _of_each(self, values: Collection[object]) -> Iterator[str]:
        """Each as if it were the first, since they come in another order in every process."""
        told = self._told
        for one in values:
            yield self.of(one)
            self._told = told

    def _of_more(self, value: object, said: str) -> str:
        """A value with a class of its own, which may hold more than it says as a plain one."""
        made = type(value)
        self._note(made)
        more = getattr(value, "__dict__", None)
        self.is_whole &= not more and is_in_project(made)
        return f"{full_name(made)}{said}{self.of(more) if more and self.is_deep else ''}"

    def _of_object(self, value: Any) -> str:
        if isinstance(value, functools.partial):
            return f"partial{self.of([value.func, value.args, value.keywords])}"
        if isinstance(value, re.Pattern):
            return f"pattern{self.of([value.pattern, value.flags])}"
        if isinstance(value, Path):  # an absolute one says where the code lies, not what it does
            return "(path)" if value.is_absolute() else repr(value.as_posix())
        if isinstance(value, types.ModuleType):
            if is_project_file(getattr(value, "__file__", None)):
                self.modules.add(value.__name__)
            return value.__name__
        if isinstance(value, ContractMeta):
            return self._of_contract(cast("type[Contract]", value))
        return self._of_code(value)

    def _of_dataclass(self, value: Any) -> str:
        """Its class, which says the defaults, and every field that differs: one that comes later changes nothing that is."""
        made: type = type(value)
        self._note(made)
        said = []
        for name, default in _fields(made):
            one = getattr(value, name)
            if type(one) not in _SIMPLE or type(one) is not type(default) or one != default:
                said.append(f"{name!r}: {self.of(one)}")
        return f"{full_name(made)}{{{', '.join(said)}}}"

    def _of_contract(self, value: type[Contract]) -> str:
        """What it promises and what else its class holds; its words may be mended, and nothing is built again."""
        bases = [one for one in value.__mro__ if isinstance(one, ContractMeta)]
        members = [
            (name, functions_of(member))
            for base in bases
            for name, member in vars(base).items()
            if is_in_project(base) and _is_more(name, member)
        ]
        return f"{full_name(value)}{self.of([value.version, promise(value), members])}"

    def _of_code(self, value: Any) -> str:
        if isinstance(value, types.MethodType):
            return f"{self.of(value.__self__)}.{self.of(value.__func__)}"
        if isinstance(value, _BUILTIN):
            return self._of_builtin(value)
        inner = _wrapped(value)
        around = f" around {self.of(inner)}" if inner is not None else ""
        if not isinstance(value, Code):
            return self._of_instance(value) + around
        self._note(value)
        self.is_whole &= not is_made(value)
        return full_name(value) + around

    def _of_builtin(self, value: Any) -> str:
        is_unbound = isinstance(value, types.MethodDescriptorType)
        owner = value.__objclass__ if is_unbound else value.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return full_name(value)
        return f"{self.of(owner)}.{value.__name__}"

    def _of_instance(self, value: object) -> str:
        self._note(type(value))
        self.is_whole &= _is_of_dagster(value)
        said = full_name(type(value))
        if not self.is_deep or id(value) in self._told:
            return said
        self._told |= {id(value)}
        holds = held(value)
        return said if holds is UNKNOWN else said + self.of(holds)

    def _note(self, code: Code) -> None:
        if is_in_project(code) or id(code) in self.roots:
            self.code[id(code)] = code


def _is_more(name: str, member: object) -> bool:
    """Whether a member of a contract's class is neither a column nor what Python and lakeline put there."""
    if any(isinstance(one, types.FunctionType) for one in functions_of(member)):
        return True
    return name != "_declared" and not name.startswith("__") and not isinstance(member, Undeclared)


@functools.lru_cache(maxsize=512)
def _fields(dataclass_type: type) -> tuple[tuple[str, object], ...]:
    """Names and defaults of a dataclass's fields, without words; `fields` sorts them out anew for each of its objects."""
    counted = (one for one in fields(dataclass_type) if WORDS not in one.metadata)
    return tuple((one.name, one.default) for one in counted)


def _wrapped(value: object) -> Any:
    """What a decorator put something around, or all that `functools.singledispatch` chooses from.

    Not asked of objects that answer to every name, such as those for a column.
    """
    if isinstance(value, type):
        return vars(value).get("__wrapped__")
    if isinstance(value, types.FunctionType):
        chosen = vars(value).get("registry")
        if isinstance(chosen, types.MappingProxyType):
            return frozenset(chosen.items())
    try:
        return object.__getattribute__(value, "__wrapped__")
    except AttributeError:
        return None


def _is_of_dagster(value: object) -> bool:
    """Whether it is an asset or the like, which a function mentions by its name alone: its rows come through a handle."""
    return type(value).__module__.partition(".")[0] == "dagster"


def full_name(thing: Code) -> str:
    """Its full name; without the private modules of a library, which move from one version of Python to the next."""
    module = thing.__module__ or ""
    if not is_in_project(thing):
        module = ".".join(part for part in module.split(".") if not part.startswith("_"))
    return f"{module}.{thing.__qualname__}"
