"""What the values of a feature view look like: measured when its partitions are published, and kept in the ledger."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lakeline.domain.features import features_of
from lakeline.domain.node import Node
from lakeline.window import Window

if TYPE_CHECKING:
    import polars as pl

    from lakeline.features.statistics import FeatureStatistics
    from lakeline.publishing import Publication
    from lakeline.resource import Lakehouse


def measure(house: "Lakehouse", node: Node, frame: "pl.DataFrame", done: "Publication") -> None:
    """Keep the statistics of each feature of the partitions that were published.

    Args:
        house: Whose ledger.
        node: The feature view.
        frame: The rows that were published; where the audit took some out, the table is read instead.
        done: What the publish did.
    """
    import polars as pl

    from lakeline.contract.arrow import polars_schema
    from lakeline.features.statistics import summarise
    from lakeline.features.statistics_format import to_bytes

    rows = _published(house, node, done) if done.violations else frame
    features = features_of(node)
    types = polars_schema(node.columns)
    kinds = pl.Schema({name: types[name] for name in features})
    rows = rows.cast(kinds, strict=False)  # one type in every partition, so that they add up
    found = {
        key: (version, to_bytes(summarise(_of_day(rows, node, key), features)))
        for key, version in done.versions.items()
    }
    house.ledger.set_statistics(node.asset, found)


def measured(
    house: "Lakehouse", node: Node, last: int | None = None
) -> "Mapping[str, Mapping[str, FeatureStatistics]]":
    """Statistics of each feature by partition, oldest first; of the newest ``last`` partitions, or of all."""
    from lakeline.features.statistics_format import from_bytes

    held = house.ledger.statistics(node.asset)
    keys = sorted(held)[-last:] if last else sorted(held)
    return {key: from_bytes(held[key][1]) for key in keys}


def pictures(house: "Lakehouse", node: Node) -> str:
    """Each feature over the partitions there are, as Markdown with the pictures in it."""
    from lakeline.features.plots import feature_markdown

    held = measured(house, node)
    by_feature = {
        name: {key: found[name] for key, found in held.items() if name in found}
        for name in features_of(node)
    }
    return "\n\n".join(feature_markdown(name, found) for name, found in by_feature.items() if found)


def _of_day(rows: "pl.DataFrame", node: Node, key: str) -> "pl.DataFrame":
    import polars as pl

    day = Window.of_days(key)
    event = pl.col(str(node.columns.event_time))
    return rows.filter(event >= day.start, event < day.end)


def _published(house: "Lakehouse", node: Node, done: "Publication") -> "pl.DataFrame":
    from lakeline.lake.read import scan_polars

    table = house.lake.open(node.table, node.columns, daily=node.daily)
    keys = sorted(done.versions)
    return scan_polars(table, Window.of_days(keys[0], keys[-1])).collect()
