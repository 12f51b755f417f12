"""The decorators for features: views, what is computed from a request, and training sets."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from lakeline.contract import ContractSpec, resolve
from lakeline.domain.core import Decorator, DomainCore
from lakeline.domain.declared import name_of, require_times, require_ttl
from lakeline.domain.factory import Function
from lakeline.domain.features import Feature, reaching
from lakeline.domain.labels import Labelled, require_columns
from lakeline.domain.leaks import LEAK_CHECKS
from lakeline.domain.node import nodes_of
from lakeline.domain.online_assets import (
    PARITY,
    make_online_asset,
    make_parity_asset,
    online_node,
    parity_node,
)
from lakeline.domain.reads import Dependency, as_read
from lakeline.domain.registering import make_registry_asset, registry_node
from lakeline.errors import DomainError
from lakeline.features.on_demand import REQUEST_TYPES, OnDemand, RequestType


class RequestTypeError(DomainError):
    """A value of a request has a type that a request cannot bring."""

    def __init__(self, view: str, name: str, kind: object) -> None:
        known = ", ".join(one.__name__ for one in REQUEST_TYPES)
        super().__init__(
            f"On-demand view '{view}' wants '{name}' as {getattr(kind, '__name__', kind)}. Use one of {known}."
        )


class NestedFunctionError(DomainError):
    """The function of an on-demand view cannot be found by its name."""

    def __init__(self, view: str, where: str) -> None:
        super().__init__(
            f"On-demand view '{view}' is made inside {where.partition('.')[0]}(). Put its function at the top of a module: "
            "a registry names it, and whoever reads that imports it."
        )


class FeatureAssets(DomainCore):
    """Features of a domain."""

    def feature_view(
        self,
        *,
        contract: ContractSpec,
        reads: Sequence[Dependency],
        entities: Sequence[str],
        ttl: str,
        online: bool = False,
        kinds: Sequence[str] = ("iceberg", "polars"),
        **settings: Any,
    ) -> Decorator:
        """A daily table of features: entity, event time, knowledge time and values.

        Args:
            contract: Its columns; must have an event time and a knowledge time.
            reads: As for `table`.
            entities: Key columns whose values the features describe.
            ttl: How long a value may be used, such as ``6h``.
            online: Whether its newest values are kept in the online store, by an asset ``<name>_online``, and compared
                with these rows, by a report ``<name>_parity``.
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.
        """

        def declare(function: Function) -> dg.AssetsDefinition:
            columns = resolve(contract)
            require_times(function, columns, entities)
            node = self._nodes.of_table(
                function,
                contract=columns,
                layer="features",
                reads=reads,
                entities=tuple(entities),
                ttl_s=require_ttl(function, ttl),
            )
            node.extras["online"] = online
            view = self._add_table(node, kinds, settings)
            if online:
                self._serve(view, settings)
            return view

        return declare

    def on_demand_view(
        self,
        *,
        contract: ContractSpec,
        request: Mapping[str, RequestType],
        owner: str | None = None,
    ) -> Callable[[Function], OnDemand]:
        """Features that are computed from the values of a request, the same in training, in scoring and online.

        The function is pure: it takes a Polars frame with the columns of ``request`` and returns one with the columns of
        the contract, row by row in the same order. Nothing is stored, so it is no asset; assets and models name it in
        ``features``.

        Args:
            contract: Its features; no keys and no times.
            request: Name and type of each value that a request brings: bool, int, float, str or datetime.
            owner: Left out, the domain's.
        """

        def declare(function: Function) -> OnDemand:
            name = name_of(function)
            if "<locals>" in function.__qualname__:
                raise NestedFunctionError(name, function.__qualname__)
            for value, kind in request.items():
                if kind not in REQUEST_TYPES:
                    raise RequestTypeError(name, value, kind)
            view = OnDemand(
                name=name,
                function=function,
                request=dict(request),
                contract=resolve(contract),
                owner=owner or self.owner,
            )
            self.on_demand.append(view)
            return view

        return declare

    def training_set(
        self,
        *,
        contract: ContractSpec,
        reads: Sequence[Dependency],
        features: Sequence[Feature],
        label: str,
        at: str,
        known: str,
        kinds: Sequence[str] = ("iceberg", "feast"),
        **settings: Any,
    ) -> Decorator:
        """A daily table of decisions with their label and their features as they were known at each decision.

        The function returns the rows to decide on: keys, time of the decision, label, and when the label was known. What
        it does not return are the features; those are joined after it. A label whose time of knowledge is null, or that
        is known before the decision, is no label: the first is published as null, the second fails the check.

        Args:
            contract: Its columns, those of the features among them.
            reads: What the function reads, as for `table`.
            features: Feature views and on-demand views that are joined. A view is read as far back as its time to live
                reaches, or as ``past(view, days=…)`` says; values of other days are null.
            label: Column of the outcome; null while it is unknown.
            at: Column with the time of each decision.
            known: Column with the time when the label was known.
            kinds: Badges.
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.
        """
        labelled = Labelled(label=label, at=at, known=known)

        def declare(function: Function) -> dg.AssetsDefinition:
            columns = resolve(contract)
            require_columns(f"{self.name}/{name_of(function)}", columns, (label, at, known))
            node = self._nodes.of_table(
                function,
                contract=columns,
                layer="models",
                reads=reads,
                features=[
                    reaching(one, lead_days=int(at != columns.event_time)) for one in features
                ],
                given=("window", *(as_read(one).node.name for one in reads)),
                checks=LEAK_CHECKS,
            )
            node.extras["labelled"] = labelled
            return self._add_table(node, kinds, settings)

        return declare

    def complete(self) -> None:
        """Declare the registry of the features too, if there are any: it follows from all the others together."""
        nodes = nodes_of(self.assets)
        node = registry_node(self.name, nodes, self.on_demand)
        if node is not None and node.asset not in nodes:
            settings = self._settings(node.asset, ("feast",), (), {})
            self.assets.append(make_registry_asset(node, settings, nodes, self.on_demand))
        super().complete()

    def _serve(self, view: dg.AssetsDefinition, settings: Mapping[str, Any]) -> None:
        """Declare what keeps a view online, and what compares that with the view's rows."""
        chosen = {name: settings[name] for name in ("automation", "fresh", "owner") if name in settings}  # fmt: skip
        held = online_node(self._nodes, view)
        kept = make_online_asset(held, self._settings(held.asset, ("feast",), (), chosen))
        compared = parity_node(view, kept)
        report = make_parity_asset(
            compared, self._settings(compared.asset, ("feast",), (PARITY,), chosen)
        )
        self.assets.extend([kept, report])
