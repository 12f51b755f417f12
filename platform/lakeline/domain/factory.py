"""From a decorated function to the node of its asset: what is declared is checked, and its code version taken."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lakeline.contract import Contract
from lakeline.contract.promise import promise
from lakeline.domain.code_version import CodeVersion, code_version
from lakeline.domain.conventions import LAYERS
from lakeline.domain.declared import (
    name_of,
    refuse_reads,
    refuse_table,
    require_arguments,
)
from lakeline.domain.features import Feature, Joined, joined
from lakeline.domain.node import Node
from lakeline.domain.reads import Dependency, Read, as_read
from lakeline.errors import DomainError
from lakeline.features.on_demand import OnDemand

Function = Callable[..., Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeFactory:
    """Makes the nodes of one domain.

    Attributes:
        domain: Its name.
        first_partition: Key of the first day of its daily assets.
        until: Key of the day after their last; None where they have no last.
    """

    domain: str
    first_partition: str
    until: str | None = None

    def of_table(
        self,
        function: Function,
        *,
        contract: type[Contract],
        layer: str,
        reads: Sequence[Dependency],
        daily: bool = True,
        source: type | None = None,
        **more: Any,
    ) -> Node:
        """The node of a function that returns the rows of a table."""
        checks = more.pop("checks", ())
        refuse_table(
            f"{self.domain}/{name_of(function)}",
            contract,
            is_daily=daily,
            empty=more.get("empty", "allow"),
        )
        node = self.of_function(
            function,
            layer=layer,
            reads=reads,
            daily=daily,
            source=source,
            contract=contract,
            more=lambda: promise(contract),
            **more,
        )
        node.extras["checks"] = checks
        return node

    def of_function(
        self,
        function: Function,
        *,
        layer: str,
        reads: Sequence[Dependency],
        daily: bool,
        features: Sequence[Feature] = (),
        given: Sequence[str] | None = None,
        source: type | None = None,
        more: Callable[[], tuple[object, ...]] = tuple,
        **fields: Any,
    ) -> Node:
        """The node of a function.

        Args:
            function: What the user wrote.
            layer: Stage in the graph.
            reads: What it is given handles of.
            daily: Whether it has a partition a day.
            features: Feature views that it is given one handle on.
            given: Names of its arguments, where they are not the window, the handles and the source.
            source: The resource class that is its last argument.
            more: Gives what its code version depends on beside the function.
            fields: More of the node.

        Raises:
            DomainError: The declaration contradicts itself.
        """
        name = name_of(function)
        if layer not in LAYERS:
            raise DomainError(
                f"'{self.domain}/{name}' has layer '{layer}'. Use one of {', '.join(LAYERS)}."
            )
        asset = f"{self.domain}/{name}"
        alone = tuple(as_read(one) for one in reads)
        served = joined(asset, features, is_daily=daily)
        declared = (*alone, *served.views)
        usual = _given(daily=daily, reads=alone, features=bool(served), source=source)
        expected = usual if given is None else given
        refuse_reads(asset, declared, is_daily=daily)
        takes = require_arguments(asset, function, expected)
        return Node(
            domain=self.domain,
            name=name,
            layer=layer,
            daily=daily,
            function=function,
            code=CodeVersion(
                lambda: (function, source, spans(declared), *computed(served), *more())
            ),
            reads=declared,
            first_partition=self.first_partition if daily else None,
            until=self.until if daily else None,
            source=source,
            extras={"features": served} | ({"source_key": takes[-1]} if source else {}),
            **fields,
        )


def spans(reads: Sequence[Read]) -> list[tuple[object, ...]]:
    """How far each dependency is read, and how its features are joined."""
    return [
        (one.node.asset, one.back_days, one.last_days, one.node.entities, one.node.ttl_s)
        for one in reads
    ]


def computed(served: Joined) -> list[tuple[object, ...]]:
    """What of on-demand views decides which values are joined."""
    return [
        (one.name, code_version(one.function), *promise(one.contract), _asked(one))
        for one in served.on_demand
    ]


def _asked(view: OnDemand) -> list[tuple[str, str]]:
    return sorted((name, kind.__name__) for name, kind in view.request.items())


def _given(*, daily: bool, reads: Sequence[Read], features: bool, source: type | None) -> list[str]:
    return [
        *(["window"] if daily else []),
        *(read.node.name for read in reads),
        *(["features"] if features else []),
        *([source.__name__] if source else []),
    ]
