"""Joins a handle's feature views through Feast's API, pinned to the snapshots that the handle holds."""

from typing import TYPE_CHECKING

from lakeline.domain.features import Features
from lakeline.errors import ModelError

if TYPE_CHECKING:
    import polars as pl

MOMENT = "event_timestamp"
"""Feast's name for the time of a decision."""


class RowsLostError(ModelError):
    """A join gave back another number of rows."""

    def __init__(self, reader: str, asked: int, found: int) -> None:
        super().__init__(
            f"Joining features for '{reader}' gave {found} rows for {asked}. Nothing was published; this is an error of "
            "the offline store."
        )


def historical(features: Features, rows: "pl.DataFrame", *, at: str) -> "pl.DataFrame":
    """The rows with every feature of the handle as it was known at ``at``.

    Args:
        features: The handle.
        rows: With keys, values of requests and ``at``.
        at: Aware timestamp column.

    Raises:
        RowsLostError: The store did not keep to one row for each.
    """
    import polars as pl

    from lakeline.domain.feast.objects import objects_of
    from lakeline.domain.feast.project import require_applied, store_of

    house, project = features.house, features.reader.domain
    objects = objects_of([table.node for table in features.tables], features.served.on_demand)
    require_applied(house, project, objects)
    pins = {one.node.table: one.snapshot_id for one in features.tables if one.snapshot_id}
    keys = [key for table in features.tables for key in table.node.entities]
    asked = [name for one in features.served.on_demand for name in one.request]
    columns = dict.fromkeys(name for name in (*keys, *asked) if name != MOMENT)
    entity_rows = rows.select(*columns, pl.col(at).alias(MOMENT))
    wanted = {
        f"{view}:{name}": name for view, names in features.served.names.items() for name in names
    }
    job = store_of(house, project, pins).get_historical_features(
        entity_df=entity_rows.to_arrow(), features=list(wanted)
    )
    found = pl.from_arrow(job.to_arrow())
    assert isinstance(found, pl.DataFrame)
    if found.height != rows.height:
        raise RowsLostError(features.reader.asset, rows.height, found.height)
    return rows.hstack(found.select(wanted.values()))
