"""Names of a project's modules whose values do not show what they hold, known by the statements that give them.

``IS_LATE = pl.col("delay_min") > LIMIT_MIN`` is such: what the expression is stands in the source and nowhere else.
"""

import importlib.util
from collections.abc import Iterator
from typing import NamedTuple

from lakeline.domain.outline import Statements, outline

NOTHING = Statements([], [], [])


class Assignment(NamedTuple):
    """A name of a module.

    Attributes:
        module: Which is imported.
        path: Its file.
        name: The name.
    """

    module: str
    path: str
    name: str

    def statements(self) -> Statements:
        """What gives it its value, outside of functions and classes."""
        return self._named().get(self.name, NOTHING)

    def origins(self, package: str) -> Iterator[tuple[str, str]]:
        """Modules, and names in them, that it may be imported from.

        Args:
            package: Where relative imports begin.
        """
        starred = self._named().get("*", NOTHING)
        whole = [(level, module, self.name) for level, module, _ in starred.origins]
        for level, module, name in (*self.statements().origins, *whole):
            relative = "." * level + module
            yield (importlib.util.resolve_name(relative, package) if level else module), name

    def _named(self) -> dict[str, Statements]:
        found = outline(self.path)
        return found.assigned if found is not None else {}
