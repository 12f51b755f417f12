"""Joins a handle's feature views through Feast's API, pinned to the snapshots that the handle holds."""

import datetime as dt
from typing import TYPE_CHECKING

from lakeline.domain.features import MOMENT, Features, features_of
from lakeline.domain.handles import Table
from lakeline.errors import ModelError

if TYPE_CHECKING:
    import polars as pl


class RowsLostError(ModelError):
    """A join gave back another number of rows."""

    def __init__(self, reader: str, asked: int, found: int) -> None:
        super().__init__(
            f"Joining features for '{reader}' gave {found} rows for {asked}. Nothing was published; this is an error of "
            "the offline store."
        )


def historical(features: Features, rows: "pl.DataFrame", *, at: str) -> "pl.DataFrame":
    """The rows with every feature of the handle as it was known at ``at``.

    What is computed from a request is computed here, by the function that Feast's registry names: on its way through
    Feast's pandas frames an integer would become a float wherever another row has none.

    Args:
        features: The handle.
        rows: With keys, values of requests and ``at``.
        at: Aware timestamp column.

    Raises:
        RowsLostError: The store did not keep to one row for each.
    """
    import polars as pl

    from lakeline.domain.feast.objects import objects_of
    from lakeline.domain.feast.project import require_applied

    objects = objects_of([table.node for table in features.tables], features.served.on_demand)
    require_applied(features.house, features.reader.domain, objects)
    # A view that was built and has no row yet has no snapshot to join.
    held = [table for table in features.tables if table.snapshot_id is not None]
    found = _stored(features, held, rows, at=at) if held else pl.DataFrame()
    parts = [
        _nothing(table, rows)
        if table.snapshot_id is None
        else _declared(features, table, rows, found)
        for table in features.tables
    ]
    parts += [one.compute(rows) for one in features.served.on_demand]
    return rows.hstack([column for part in parts for column in part.get_columns()])


def _stored(
    features: Features, tables: list[Table], rows: "pl.DataFrame", *, at: str
) -> "pl.DataFrame":
    """The features of stored views, and for each view the event time of its values."""
    import polars as pl

    from lakeline.domain.feast.project import store_of

    pins = {one.node.table: one.snapshot_id for one in tables if one.snapshot_id is not None}
    keys = dict.fromkeys(key for table in tables for key in table.node.entities)
    wanted = [f"{one.node.name}:{name}" for one in tables for name in features_of(one.node)]
    job = store_of(
        features.house, features.reader.domain, pins, has_event_times=True
    ).get_historical_features(
        entity_df=rows.select(*keys, pl.col(at).alias(MOMENT)).to_arrow(), features=wanted
    )
    found = pl.from_arrow(job.to_arrow())
    assert isinstance(found, pl.DataFrame)
    if found.height != rows.height:
        raise RowsLostError(features.reader.asset, rows.height, found.height)
    return found


def _declared(
    features: Features, table: Table, rows: "pl.DataFrame", found: "pl.DataFrame"
) -> "pl.DataFrame":
    """The features of a view, null where the value is of a day that the reader does not declare."""
    import polars as pl

    from lakeline.features.offline.request import event_time_of

    names = list(features_of(table.node))
    since = _since(features, table, rows)
    if since is None:
        return found.select(names)
    is_declared = found[event_time_of(table.node.name)].cast(pl.Datetime("us", "UTC")) >= since
    return found.select(pl.when(is_declared).then(pl.col(names)).name.keep())


def _since(
    features: Features, table: Table, rows: "pl.DataFrame"
) -> "pl.Series | dt.datetime | None":
    """From when on values of a view are declared: by the day of each row, so that no row depends on the others of its run.

    Rows that have no event time yet are judged by the window of the run.
    """
    import polars as pl

    event = str(features.reader.columns.event_time)
    if not features.reader.daily or event not in rows.columns:
        return table.window.start if table.window is not None else None
    day = rows[event].cast(pl.Datetime("us", "UTC")).dt.truncate("1d")
    return day - dt.timedelta(days=table.read_spec.back_days)


def _nothing(table: Table, rows: "pl.DataFrame") -> "pl.DataFrame":
    """The features of a view without rows."""
    import polars as pl

    from lakeline.contract.arrow import polars_schema

    types = polars_schema(table.node.columns)
    return pl.DataFrame(
        [pl.Series(name, [None] * rows.height, types[name]) for name in features_of(table.node)]
    )
