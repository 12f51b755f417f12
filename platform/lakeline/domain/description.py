"""Values as text that is equal for equal values, and the project's code among them.

An object says its class, and nothing of its state, which may hold a path of the machine or a connection. Where one was met,
the text is not all that there is to say: whoever asks reads the statement that made it.
"""

import datetime as dt
import enum
import functools
import re
import types
from collections.abc import Callable
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from lakeline.contract.columns import WORDS, Undeclared
from lakeline.contract.declaration import Contract, ContractMeta
from lakeline.contract.promise import promise
from lakeline.domain.reach import function_of, is_in_project
from lakeline.domain.source import Code

Plain = (
    None
    | bool
    | int
    | float
    | complex
    | str
    | bytes
    | dt.timedelta
    | dt.date
    | dt.time
    | dt.timezone
    | Decimal
    | enum.Enum
)

_MOST = frozenset({types.NoneType, bool, int, float, str})
"""Types of most values in a contract, known at once."""
_SIMPLE = _MOST - {float}
"""Types of which equal values are one value: 0.0 and -0.0 are two."""


@dataclass(kw_only=True, slots=True)
class Description:
    """Describes values; functions and classes are named in the text, and noted to be read.

    Attributes:
        roots: Identities of functions and classes that are noted wherever they stand.
        code: By identity, functions and classes of the project that were met.
        is_whole: Whether the text says all of the values; not where an object among them does not show what it holds.
    """

    roots: frozenset[int] = frozenset()
    code: dict[int, Code] = field(default_factory=dict)
    is_whole: bool = True
    _around: set[int] = field(default_factory=set)

    def of(self, value: object) -> str:
        """Text that is equal for equal values."""
        if type(value) in _MOST:
            return repr(value)
        if is_dataclass(type(value)):  # asked first: a contract is made of them
            return self._once(value, self._of_dataclass)
        if isinstance(value, Plain):
            if isinstance(value, enum.Enum):
                self._note(type(value))
            return repr(value)
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

    def _of_container(self, value: object) -> str:
        # No other mapping: os.environ is one, and differs in every process.
        if isinstance(value, dict | types.MappingProxyType):
            return (
                f"{{{', '.join(f'{self.of(key)}: {self.of(one)}' for key, one in value.items())}}}"
            )
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(self.of, value))}]"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(map(self.of, value)))}}}"
        return self._of_object(value)

    def _of_object(self, value: Any) -> str:
        if isinstance(value, functools.partial):
            return f"partial{self.of([value.func, value.args, value.keywords])}"
        if isinstance(value, re.Pattern):
            return f"pattern{self.of([value.pattern, value.flags])}"
        if isinstance(value, Path):  # an absolute one says where the code lies, not what it does
            return "(path)" if value.is_absolute() else repr(value.as_posix())
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
            (name, function_of(member))
            for base in bases
            for name, member in vars(base).items()
            if is_in_project(base) and _is_more(name, member)
        ]
        return f"{full_name(value)}{self.of([value.version, promise(value), members])}"

    def _of_code(self, value: Any) -> str:
        if isinstance(value, types.MethodType):
            value = value.__func__
        inner = _wrapped(value)
        around = f" around {self.of(inner)}" if inner is not None else ""
        if not isinstance(value, Code):
            self._note(type(value))
            self.is_whole &= inner is not None or _is_of_dagster(value)
            return full_name(type(value)) + around
        self._note(value)
        return full_name(value) + around

    def _note(self, code: Code) -> None:
        if is_in_project(code) or id(code) in self.roots:
            self.code[id(code)] = code


def _is_more(name: str, member: object) -> bool:
    """Whether a member of a contract's class is neither a column nor what Python and lakeline put there."""
    if isinstance(function_of(member), types.FunctionType):
        return True
    return name != "_declared" and not name.startswith("__") and not isinstance(member, Undeclared)


@functools.lru_cache(maxsize=512)
def _fields(dataclass_type: type) -> tuple[tuple[str, object], ...]:
    """Names and defaults of a dataclass's fields, without words; `fields` sorts them out anew for each of its objects."""
    counted = (one for one in fields(dataclass_type) if WORDS not in one.metadata)
    return tuple((one.name, one.default) for one in counted)


def _wrapped(value: object) -> Any:
    """What a decorator put something around; not asked of objects that answer to every name, such as those for a column."""
    if isinstance(value, type):
        return vars(value).get("__wrapped__")
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
