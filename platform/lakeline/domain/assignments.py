"""Names of a project's modules whose values do not show what they hold, known by the statements that give them.

``IS_LATE = pl.col("delay_min") > LIMIT_MIN`` is such: what the expression is stands in the source and nowhere else.
"""

import ast
import functools
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lakeline.domain.source import Definition, chains, parsed, statements, written


@dataclass(frozen=True, slots=True)
class Assignment:
    """A name of a module.

    Attributes:
        module: Which is imported.
        path: Its file.
        name: The name.
    """

    module: str
    path: Path
    name: str

    def statements(self) -> "Statements":
        """What gives it its value, outside of functions and classes."""
        return self._named().get(self.name, Statements())

    def origins(self, package: str) -> Iterator[tuple[str, str]]:
        """Modules, and names in them, that it may be imported from.

        Args:
            package: Where relative imports begin.
        """
        starred = self._named().get("*", Statements())
        whole = [(level, module, self.name) for level, module, _ in starred.origins]
        for level, module, name in (*self.statements().origins, *whole):
            relative = "." * level + module
            yield (importlib.util.resolve_name(relative, package) if level else module), name

    def _named(self) -> "dict[str, Statements]":
        return _by_name(self.path, self.path.stat().st_mtime_ns) if self.path.exists() else {}


@dataclass(slots=True)
class Statements:
    """What gives a name its value.

    Attributes:
        text: The statements.
        chains: Names that they mention, each with the members that are asked of it: ``helpers.LIMIT.real``.
        origins: Level, module and name of each ``from module import name``.
    """

    text: list[str] = field(default_factory=list)
    chains: list[tuple[str, ...]] = field(default_factory=list)
    origins: list[tuple[int, str, str]] = field(default_factory=list)


@functools.lru_cache(maxsize=512)
def _by_name(path: Path, made: int) -> dict[str, Statements]:
    found: dict[str, Statements] = {}
    waiting: list[ast.AST] = [parsed(path, made)]
    while waiting:
        for node in statements(waiting.pop()):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    held = found.setdefault(alias.asname or alias.name, Statements())
                    held.origins.append((node.level, node.module or "", alias.name))
            elif not isinstance(node, Definition):
                for name in _bound(node):
                    held = found.setdefault(name, Statements())
                    held.text.append(written(node))
                    held.chains += chains(node)
                waiting.append(node)
    return found


def _bound(node: ast.AST) -> list[str]:
    """Names that a statement assigns to, or to a member or an item of, or whose method it calls: ``RULES.append(…)``."""
    targets = [*getattr(node, "targets", ()), getattr(node, "target", None)]
    targets += [item.optional_vars for item in getattr(node, "items", ())]
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        targets += [node.value.func] if isinstance(node.value.func, ast.Attribute) else []
    found = []
    while targets:
        one = targets.pop()
        if isinstance(one, ast.Name):
            found.append(one.id)
        elif isinstance(one, ast.Tuple | ast.List):
            targets += one.elts
        elif isinstance(one, ast.Attribute | ast.Subscript | ast.Starred):
            targets.append(one.value)
    return found
