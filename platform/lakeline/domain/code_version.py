"""The code version of an asset: a hash of its function and of what that reaches in the project.

Comments, formatting, docstrings and the decorators of the asset itself do not count; constants and called functions and
classes do, as deep as they live in the project. Code of installed packages is left out: their versions stand in the lock
file. Nothing is imported: what a function imports when it runs counts as the text of that module.
"""

import datetime as dt
import enum
import functools
import hashlib
import importlib.machinery
import re
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from lakeline.domain.reach import is_in_project, is_project_file, local_imports, mentioned
from lakeline.domain.source import imports_of, meaning, module_meaning

PLAIN = (type(None), bool, int, float, complex, str, bytes, dt.timedelta, dt.date, dt.time, dt.timezone, Decimal, enum.Enum)
Code = types.FunctionType | type


def code_version(function: Callable[..., Any], *more: object) -> str:
    """Twelve hexadecimal digits that change when the function, or project code that it reaches, means something else.

    The same in every process and on every machine.

    Args:
        function: A plain function.
        more: Values that the result depends on too, such as the columns of a contract.
    """
    return fingerprint(function, *more)


def fingerprint(*values: object) -> str:
    """Twelve hexadecimal digits of values, and of the project code among them without its decorators."""
    walk = _Walk()
    said = [walk.describe(value) for value in values]
    walk.finish(undecorated={id(value) for value in values})
    digest = hashlib.sha256("\0".join([*said, *sorted(walk.meanings)]).encode())
    return digest.hexdigest()[:12]


def reached(function: Callable[..., Any]) -> Iterator[Code]:
    """The function, and every function and class of the project that it leads to."""
    walk = _Walk()
    walk.describe(function)
    walk.finish()
    yield from (thing for thing in walk.seen.values() if isinstance(thing, Code))


@dataclass(kw_only=True)
class _Walk:
    """Follows values to the project code they lead to, each piece once, so that recursion ends."""

    meanings: set[str] = field(default_factory=set)
    seen: dict[int, object] = field(default_factory=dict)
    waiting: list[Code] = field(default_factory=list)
    open: set[int] = field(default_factory=set)

    def describe(self, value: object) -> str:
        """The value as text that is equal for equal values; code by its name, to be read later."""
        if isinstance(value, PLAIN):
            return repr(value)
        if id(value) in self.open:
            return "(itself)"
        self.open.add(id(value))
        try:
            return self._describe(value)
        finally:
            self.open.discard(id(value))

    def finish(self, undecorated: set[int] | frozenset[int] = frozenset()) -> None:
        """Read all code that was met, and what that leads to."""
        while self.waiting:
            thing = self.waiting.pop()
            text = meaning(thing, decorated=id(thing) not in undecorated)
            for name, value in sorted(mentioned(thing), key=lambda one: one[0]):
                text += f"\n{name}={self.describe(value)}"
            self.meanings.add(f"{_name(thing)}: {text}")
            for path in local_imports(thing):
                self._take_module(path)

    def _describe(self, value: object) -> str:
        if isinstance(value, Mapping):
            items = [f"{self.describe(key)}: {self.describe(one)}" for key, one in value.items()]
            return f"{{{', '.join(items)}}}"
        if isinstance(value, list | tuple):
            return f"[{', '.join(self.describe(one) for one in value)}]"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(self.describe(one) for one in value))}}}"
        if isinstance(value, functools.partial):
            return f"partial({self.describe([value.func, value.args, value.keywords])})"
        if isinstance(value, re.Pattern):
            return f"pattern({value.pattern!r}, {value.flags})"
        if isinstance(value, Path):
            return "(path)" if value.is_absolute() else repr(str(value))  # an absolute one is the machine's, not the code's
        if is_dataclass(value) and not isinstance(value, type):
            return self._describe_dataclass(value)
        return self._describe_code(value)

    def _describe_dataclass(self, value: Any) -> str:
        told = [f"{one.name}={self.describe(getattr(value, one.name))}" for one in fields(value) if one.repr]
        return f"{type(value).__qualname__}({', '.join(told)})"

    def _describe_code(self, value: Any) -> str:
        if isinstance(value, types.MethodType):
            value = value.__func__
        inner = getattr(value, "__wrapped__", None)
        wrapped = f" of {self.describe(inner)}" if inner is not None else ""
        if not isinstance(value, Code):
            return f"{type(value).__module__}.{type(value).__qualname__}{wrapped}"
        if is_in_project(value) and id(value) not in self.seen:
            self.seen[id(value)] = value
            self.waiting.append(value)
        return _name(value) + wrapped

    def _take_module(self, path: Path) -> None:
        waiting = [path]
        while waiting:
            here = waiting.pop()
            if str(here) in self.meanings:
                continue
            self.meanings |= {str(here), module_meaning(here)}
            waiting += [found for name in imports_of(here) if (found := locate(name)) is not None]
        self.meanings -= {one for one in self.meanings if one.startswith("/")}


def _name(thing: Code) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"
