"""What the values of a feature view look like: measured when its partitions are published, and kept in the ledger."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lakeline.domain.features import features_of
from lakeline.domain.node import Node
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl

    from lakeline.features.statistics import FeatureStatistics
    from lakeline.resource import Lakehouse


def measure(
    house: "Lakehouse",
    node: Node,
    versions: Mapping[str, str],
    frame: "pl.DataFrame | None" = None,
) -> None:
    """Keep the statistics of each feature of the partitions that were published.

    Args:
        house: Whose ledger and lake.
        node: The feature view.
        versions: Version of each of the partitions.
        frame: The rows that were published; left out, the table is read, a partition at a time.
    """
    from lakeline.features.statistics import summarise
    from lakeline.features.statistics_format import to_bytes

    features = features_of(node)
    rows = _published(house, node) if frame is None else frame.lazy()
    found = {
        key: (version, to_bytes(summarise(_of_day(rows, node, key, features), features)))
        for key, version in versions.items()
    }
    house.ledger.set_statistics(node.asset, found)


def measured(
    house: "Lakehouse", node: Node, newest: int
) -> "Mapping[str, Mapping[str, FeatureStatistics]]":
    """Statistics of each feature by partition, oldest first, of the newest partitions."""
    from lakeline.features.statistics_format import from_bytes

    held = house.ledger.statistics(node.asset, newest)
    return {key: from_bytes(content) for key, (_, content) in held.items()}


def pictures(house: "Lakehouse", node: Node) -> str:
    """Each feature over the newest partitions, as Markdown with the pictures in it."""
    from lakeline.features.plots import MOST_POINTS, feature_markdown

    held = measured(house, node, MOST_POINTS)
    by_feature = {
        name: {key: found[name] for key, found in held.items() if name in found}
        for name in features_of(node)
    }
    return "\n\n".join(feature_markdown(name, found) for name, found in by_feature.items() if found)


def _of_day(rows: "pl.LazyFrame", node: Node, key: str, features: Sequence[str]) -> "pl.DataFrame":
    """A day's features, of the contract's types, so that the statistics of all days add up."""
    import polars as pl

    from lakeline.contract.arrow import polars_schema

    day, types = Window.of_days(key), polars_schema(node.columns)
    event = pl.col(str(node.columns.event_time))
    kinds = [pl.col(name).cast(types[name], strict=False) for name in features]
    return rows.filter(event >= day.start, event < day.end).select(kinds).collect()


def _published(house: "Lakehouse", node: Node) -> "pl.LazyFrame":
    from lakeline.lake.read import scan_polars

    return scan_polars(house.lake.open(node.table, node.columns, daily=node.daily))
