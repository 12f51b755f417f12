"""The code version of an asset: a hash of its function and of what that reaches in the project.

Comments, formatting, docstrings and the asset's own decorator do not count; constants and called functions and classes
do, as deep as they live in the project. Code of libraries, lakeline among them, is left out: their versions stand in
the lock file, and in the capsule of a model.
Nothing is imported for it: what a function imports when it runs counts as the text of that module.
"""

import datetime as dt
import enum
import functools
import hashlib
import re
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from lakeline.domain.reach import is_in_project, mentioned, run_imports
from lakeline.domain.source import Code, locate, meaning, module_imports, module_meaning

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


def code_version(function: Callable[..., Any], *more: object) -> str:
    """Twelve hexadecimal digits that change when the function, or project code that it reaches, means something else.

    The same in every process and on every machine, and for code in files in every version of Python.

    Args:
        function: A plain function.
        more: Values that the result depends on too, such as the columns of a contract.
    """
    return fingerprint(function, *more)


def fingerprint(*values: object) -> str:
    """Twelve hexadecimal digits of values; functions and classes among them count without their own decorators."""
    walk = _Walk(undecorated=frozenset(map(id, values)))
    said = [walk.describe(value) for value in values]
    walk.finish()
    return hashlib.sha256("\0".join([*said, *sorted(walk.meanings)]).encode()).hexdigest()[:12]


def reached(function: Callable[..., Any]) -> Iterator[Code]:
    """The function, and every function and class of the project that it leads to."""
    walk = _Walk()
    walk.describe(function)
    walk.finish()
    yield from walk.seen.values()


@dataclass(kw_only=True)
class _Walk:
    """Follows values to the project code that they lead to, each piece once, so that recursion ends."""

    undecorated: frozenset[int] = frozenset()
    meanings: set[str] = field(default_factory=set)
    seen: dict[int, Code] = field(default_factory=dict)
    waiting: list[Code] = field(default_factory=list)
    modules: set[Path] = field(default_factory=set)
    around: set[int] = field(default_factory=set)

    def describe(self, value: object) -> str:
        """Text that is equal for equal values; code is named here and read later."""
        if isinstance(value, Plain):
            return repr(value)
        if id(value) in self.around:
            return "(itself)"
        self.around.add(id(value))
        try:
            return self._of_container(value)
        finally:
            self.around.discard(id(value))

    def finish(self) -> None:
        """Read all code that was met, and what that leads to."""
        while self.waiting:
            thing = self.waiting.pop()
            mentions = {f"{name}={self.describe(value)}" for name, value in mentioned(thing)}
            text = meaning(thing, is_decorated=id(thing) not in self.undecorated)
            self.meanings.add("\n".join([f"{_name(thing)}: {text}", *sorted(mentions)]))
            for module in run_imports(thing):
                self._take_module(module)

    def _of_container(self, value: object) -> str:
        # No other mapping: os.environ is one, and differs in every process.
        if isinstance(value, dict | types.MappingProxyType):
            return f"{{{', '.join(f'{self.describe(key)}: {self.describe(one)}' for key, one in value.items())}}}"
        if isinstance(value, list | tuple):
            return f"[{', '.join(map(self.describe, value))}]"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(map(self.describe, value)))}}}"
        return self._of_object(value)

    def _of_object(self, value: Any) -> str:
        if isinstance(value, functools.partial):
            return f"partial{self.describe([value.func, value.args, value.keywords])}"
        if isinstance(value, re.Pattern):
            return f"pattern{self.describe([value.pattern, value.flags])}"
        if isinstance(value, Path):  # an absolute one says where the code lies, not what it does
            return "(path)" if value.is_absolute() else repr(value.as_posix())
        if is_dataclass(value) and not isinstance(value, type):
            return _name(type(value)) + self.describe(
                {one.name: getattr(value, one.name) for one in fields(value)}
            )
        return self._of_code(value)

    def _of_code(self, value: Any) -> str:
        if isinstance(value, types.MethodType):
            value = value.__func__
        inner = getattr(value, "__wrapped__", None)
        around = f" around {self.describe(inner)}" if inner is not None else ""
        if not isinstance(value, Code):
            return _name(type(value)) + around
        is_read = is_in_project(value) or id(value) in self.undecorated
        if is_read and id(value) not in self.seen:
            self.seen[id(value)] = value
            self.waiting.append(value)
        return _name(value) + around

    def _take_module(self, module: str) -> None:
        path = locate(module)
        if path is None or path in self.modules:
            return
        self.modules.add(path)
        self.meanings.add(f"{module}: {module_meaning(path)}")
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for further in module_imports(path, package):
            self._take_module(further)


def _name(thing: Code) -> str:
    """Its full name; without the private modules of a library, which move from one version of Python to the next."""
    module = thing.__module__ or ""
    if not is_in_project(thing):
        module = ".".join(part for part in module.split(".") if not part.startswith("_"))
    return f"{module}.{thing.__qualname__}"
