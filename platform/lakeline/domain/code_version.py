"""The code version of an asset: a hash of its function and of what that reaches in the project.

Comments, formatting, docstrings and the asset's own decorator do not count; constants and called functions and classes
do, as deep as they live in the project. Code of libraries, lakeline among them, is left out: their versions stand in
the lock file, and in the capsule of a model.
Nothing is imported for it: what a function imports when it runs counts as the text of that module.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lakeline.domain.description import Description, full_name
from lakeline.domain.reach import mentioned, run_imports
from lakeline.domain.source import Code, locate, meaning, module_imports, module_meaning


def code_version(function: Callable[..., Any], *more: object) -> str:
    """Twelve hexadecimal digits that change when the function, or project code that it reaches, means something else.

    The same in every process and on every machine, and for code in files in every version of Python.

    Args:
        function: A plain function.
        more: Values that the result depends on too, such as the columns of a contract.
    """
    return fingerprint(function, *more)


def fingerprint(*values: object, reading: "Reading | None" = None) -> str:
    """Twelve hexadecimal digits of values; functions and classes among them count without their own decorators.

    Args:
        values: Plain values, containers, dataclasses, functions and classes.
        reading: What was read for others already.
    """
    description = Description(roots=frozenset(map(id, values)))
    said = [description.of(value) for value in values]
    walk = _Walk(reading=reading or Reading(), undecorated=description.roots)
    walk.follow(description.code.values())
    return hashlib.sha256("\0".join([*said, *sorted(walk.meanings)]).encode()).hexdigest()[:12]


def reached(function: Callable[..., Any], reading: "Reading | None" = None) -> Iterator[Code]:
    """The function, and every function and class of the project that it leads to."""
    description = Description()
    description.of(function)
    walk = _Walk(reading=reading or Reading())
    walk.follow(description.code.values())
    yield from walk.seen.values()


class CodeVersion:
    """The fingerprint of values, taken when it is first asked for and not when an asset is declared.

    A function may call what stands below it in its module, which is not there yet while the module is imported.
    """

    def __init__(self, values: Callable[[], Sequence[object]]) -> None:
        self._values = values
        self._digits: str | None = None

    def digits(self, reading: "Reading | None" = None) -> str:
        """Twelve hexadecimal digits; the same from the first call on.

        Args:
            reading: What was read for others already.
        """
        if self._digits is None:
            self._digits = fingerprint(*self._values(), reading=reading)
        return self._digits


@dataclass(frozen=True, slots=True)
class _Said:
    """What a function or class says and leads to."""

    thing: Code
    text: str
    leads: tuple[Code, ...]
    modules: tuple[str, ...]


class Reading:
    """Reads each function and class once, however many assets lead to it.

    It holds for as long as nothing is defined or changed in between: it is made for a domain that is complete.
    """

    def __init__(self) -> None:
        self._mentions: dict[int, tuple[Code, list[tuple[str, Any]]]] = {}
        self._said: dict[tuple[int, bool], _Said] = {}

    def mentions(self, thing: Code) -> list[tuple[str, Any]]:
        """Name and value of each global and closure that a function or class mentions."""
        if id(thing) not in self._mentions:  # which is kept, so that no other takes its identity
            self._mentions[id(thing)] = thing, list(mentioned(thing))
        return self._mentions[id(thing)][1]

    def said(self, thing: Code, *, is_decorated: bool) -> _Said:
        """What it says, with the values that it mentions, and what it leads to."""
        key = (id(thing), is_decorated)
        if key not in self._said:
            self._said[key] = self._read(thing, is_decorated=is_decorated)
        return self._said[key]

    def _read(self, thing: Code, *, is_decorated: bool) -> _Said:
        description = Description()
        mentions = {f"{name}={description.of(value)}" for name, value in self.mentions(thing)}
        text = f"{full_name(thing)}: {meaning(thing, is_decorated=is_decorated)}"
        return _Said(
            thing=thing,
            text="\n".join([text, *sorted(mentions)]),
            leads=tuple(description.code.values()),
            modules=tuple(run_imports(thing)),
        )


@dataclass(kw_only=True, slots=True)
class _Walk:
    """Follows code to all that it leads to, each piece once, so that recursion ends."""

    reading: Reading
    undecorated: frozenset[int] = frozenset()
    meanings: set[str] = field(default_factory=set)
    seen: dict[int, Code] = field(default_factory=dict)
    modules: set[Path] = field(default_factory=set)

    def follow(self, code: Iterable[Code]) -> None:
        """Read code, and what that leads to."""
        waiting = list(code)
        while waiting:
            thing = waiting.pop()
            if id(thing) in self.seen:
                continue
            self.seen[id(thing)] = thing
            said = self.reading.said(thing, is_decorated=id(thing) not in self.undecorated)
            self.meanings.add(said.text)
            waiting += said.leads
            for module in said.modules:
                self._take_module(module)

    def _take_module(self, module: str) -> None:
        path = locate(module)
        if path is None or path in self.modules:
            return
        self.modules.add(path)
        self.meanings.add(f"{module}: {module_meaning(path)}")
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        for further in module_imports(path, package):
            self._take_module(further)
