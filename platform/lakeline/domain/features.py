"""The handle on features: a function's rows with the values of its feature views as they were known at each decision."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.domain.handles import Table
from lakeline.domain.node import Node
from lakeline.domain.reads import Dependency, Read, as_read, past
from lakeline.errors import ColumnsMissingError, DomainError, FeatureClashError
from lakeline.features.on_demand import OnDemand

if TYPE_CHECKING:
    import polars as pl

    from lakeline.resource import Lakehouse

Feature = Dependency | OnDemand
"""A feature view, one with days before the window, or features of the request."""

MOMENT = "event_timestamp"
"""Feast's name for the time of a decision, which no key can have."""
DAY_S = 86_400


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """The features that an asset declares.

    Attributes:
        views: Feature views, with how far each is read.
        on_demand: What is computed from the rows themselves.
    """

    views: tuple[Read, ...] = ()
    on_demand: tuple[OnDemand, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.views or self.on_demand)

    @property
    def names(self) -> dict[str, tuple[str, ...]]:
        """Features of each view by the view's name, in the order they are joined."""
        stored = {read.node.name: features_of(read.node) for read in self.views}
        return stored | {one.name: one.features for one in self.on_demand}


def features_of(node: Node) -> tuple[str, ...]:
    """Columns of a feature view that are neither keys nor times."""
    contract = node.columns
    apart = {*node.entities, contract.event_time, contract.knowledge_time}
    return tuple(name for name in contract.columns if name not in apart)


def reaching(feature: Feature, *, lead_days: int) -> Feature:
    """A view without ``past`` with the days before the window in which its values may still live; others as they are.

    Args:
        feature: As it stands in ``features=``.
        lead_days: Days that a decision may lie before the event time of its row.
    """
    if isinstance(feature, Read | OnDemand):
        return feature
    alive_s = as_read(feature).node.ttl_s or 0
    return past(feature, days=math.ceil(alive_s / DAY_S) + lead_days)


def joined(asset: str, features: Sequence[Feature], *, is_daily: bool = True) -> Joined:
    """What ``features=`` of an asset declares; to a daily asset a view reaches as far back as its values live.

    Raises:
        DomainError: Something in it is no feature view, or one with a key that a join cannot carry.
        FeatureClashError: Two views have a feature of one name.
    """
    found = [reaching(one, lead_days=1) if is_daily else one for one in features]
    reads = [as_read(one) for one in found if not isinstance(one, OnDemand)]
    for read in reads:
        if not read.node.entities:
            raise DomainError(
                f"'{asset}' has '{read.node.asset}' in features=, which is no feature view. Put it into reads=, or "
                "declare it with @domain.feature_view(entities=…)."
            )
        if MOMENT in read.node.entities:
            raise DomainError(
                f"'{asset}' has '{read.node.asset}' in features=, whose key is called {MOMENT}: Feast calls the time of a "
                "decision so. Give the key another name."
            )
    served = Joined(
        views=tuple(reads), on_demand=tuple(one for one in found if isinstance(one, OnDemand))
    )
    _refuse_clashes(served)
    return served


def _refuse_clashes(found: Joined) -> None:
    origins: dict[str, list[str]] = {}
    for view, features in found.names.items():
        for feature in features:
            origins.setdefault(feature, []).append(f"view '{view}'")
    clashes = {feature: where for feature, where in origins.items() if len(where) > 1}
    if clashes:
        raise FeatureClashError(clashes)


@dataclass(frozen=True, kw_only=True)
class Features:
    """The declared features of one run, pinned to the snapshots that it found.

    Attributes:
        tables: Handle of each feature view of ``served``.
        served: What the reader declares.
        reader: The asset that joins them.
        house: Where the tables are.
    """

    tables: tuple[Table, ...]
    served: Joined
    reader: Node
    house: "Lakehouse"

    def join(self, rows: "pl.DataFrame | pl.LazyFrame", *, at: str) -> "pl.DataFrame":
        """The rows, each once and in their order, with every declared feature as it was known at ``at``.

        The join is Feast's `get_historical_features` on lakeline's offline store. A value older than its view's time
        to live is null, and so is one of a day that the reader does not declare.

        Args:
            rows: With the keys of the views and the values that on-demand views are computed from.
            at: Aware timestamp column: when the decision is made.

        Raises:
            ColumnsMissingError: The rows lack a key, a value of a request, or ``at``.
            FeatureClashError: A feature is a column of the rows already.
        """
        from lakeline.domain.feast.joining import historical

        whole = rows.lazy().collect()
        self._check(whole, at)
        for table in self.tables:
            table.record(list(table.node.columns.columns))
        return historical(self, whole, at=at)

    def _check(self, rows: "pl.DataFrame", at: str) -> None:
        keys = [key for table in self.tables for key in table.node.entities]
        asked = [name for one in self.served.on_demand for name in one.request]
        needed = dict.fromkeys([at, *keys, *asked])
        if missing := [name for name in needed if name not in rows.columns]:
            raise ColumnsMissingError(f"What '{self.reader.asset}' joins features to", missing, rows.columns)  # fmt: skip
        clashes = {
            feature: [f"view '{view}'", "the rows"]
            for view, features in self.served.names.items()
            for feature in features
            if feature in rows.columns
        }
        if clashes:
            raise FeatureClashError(clashes)
