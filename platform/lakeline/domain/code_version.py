"""The code version of an asset: a hash of its function and of what that reaches in the project.

Comments, formatting, docstrings, words of contracts and the asset's own decorator do not count; constants, expressions
and called code do, as deep as they live in the project. Code of libraries, lakeline among them, is left out: their
versions stand in the lock file, and in the capsule of a model.
Nothing is imported for it: what a function imports when it runs counts as the text of that module.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lakeline.domain.assignments import Assignment
from lakeline.domain.description import Description, full_name
from lakeline.domain.reach import Mention, mentioned, run_imports
from lakeline.domain.source import Code, locate, meaning, module_imports, module_meaning

Thing = Code | Assignment


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
    yield from (one for one in walk.seen.values() if not isinstance(one, Assignment))


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


class _Said(NamedTuple):
    """What a function, a class or an assignment says and leads to."""

    text: str
    leads: tuple[Thing, ...]
    modules: tuple[str, ...]


class Reading:
    """Reads each function, class and assignment once, however many assets lead to it.

    It holds for as long as nothing is defined or changed in between: it is made for a domain that is complete.
    """

    def __init__(self) -> None:
        self._mentions: dict[object, tuple[Thing, list[Mention]]] = {}
        self._said: dict[tuple[object, bool], _Said] = {}

    def mentions(self, thing: Thing) -> list[Mention]:
        """Each global and closure that it mentions."""
        key = identity(thing)
        if key not in self._mentions:  # which is kept, so that no other takes its identity
            self._mentions[key] = thing, list(mentioned(thing))
        return self._mentions[key][1]

    def said(self, thing: Thing, *, is_decorated: bool) -> _Said:
        """What it says, with the values that it mentions, and what it leads to."""
        key = (identity(thing), is_decorated)
        if key not in self._said:
            self._said[key] = self._read(thing, is_decorated=is_decorated)
        return self._said[key]

    def _read(self, thing: Thing, *, is_decorated: bool) -> _Said:
        described = [(one, Description(is_deep=one.is_hidden)) for one in self.mentions(thing)]
        mentions = {f"{one.name}={description.of(one.value)}" for one, description in described}
        leads: list[Thing] = [code for _, one in described for code in one.code.values()]
        leads += [one.assignment for one, it in described if one.assignment and not it.is_whole]
        if isinstance(thing, Assignment):
            said = [f"{thing.module}.{thing.name}", *thing.statements().text]
        else:
            said = [f"{full_name(thing)}: {meaning(thing, is_decorated=is_decorated)}"]
        imported = () if isinstance(thing, Assignment) else run_imports(thing)
        return _Said(
            text="\n".join([*said, *sorted(mentions)]),
            leads=tuple(leads),
            modules=(*imported, *(module for _, one in described for module in one.modules)),
        )


def identity(thing: Thing) -> object:
    """What tells things apart: an assignment by its place; equal functions may be two."""
    return thing if isinstance(thing, Assignment) else id(thing)


@dataclass(kw_only=True, slots=True)
class _Walk:
    """Follows code to all that it leads to, each piece once, so that recursion ends."""

    reading: Reading
    undecorated: frozenset[int] = frozenset()
    meanings: set[str] = field(default_factory=set)
    seen: dict[object, Thing] = field(default_factory=dict)
    modules: set[str] = field(default_factory=set)

    def follow(self, things: Iterable[Thing]) -> None:
        """Read things, and what they lead to."""
        waiting = list(things)
        while waiting:
            thing = waiting.pop()
            if identity(thing) in self.seen:
                continue
            self.seen[identity(thing)] = thing
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
        package = module if Path(path).name == "__init__.py" else module.rpartition(".")[0]
        for further in module_imports(path, package):
            self._take_module(further)
