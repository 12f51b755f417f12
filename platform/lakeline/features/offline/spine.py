"""Entity rows that are made from the views themselves: every moment in a range at which something became known."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.features.offline.dialect import DUCKDB, quoted
from lakeline.features.offline.entities import Loaded, load_query, split
from lakeline.features.offline.errors import DateRangeError
from lakeline.features.offline.frames import EVENT_TIMESTAMP
from lakeline.features.offline.moments import micros_since_1970
from lakeline.features.offline.pins import PinnedTable
from lakeline.features.offline.request import ViewRead, entity_keys
from lakeline.features.offline.scan import between, source_of

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RangeEntities:
    """One row a moment and key at which a row of some view began to count, ordered by moment.

    Attributes:
        start: First moment.
        end: Last moment, included.
        pins: Table of each view, by its name.
    """

    start: dt.datetime
    end: dt.datetime
    pins: Mapping[str, PinnedTable]

    def load(
        self,
        connection: "duckdb.DuckDBPyConnection",
        views: Sequence[ViewRead],
        kinds: Mapping[str, str],
    ) -> Loaded:
        """As `lakeline.features.offline.entities.Entities.load`; hands out the keys and the moment.

        Raises:
            DateRangeError: The range is empty.
        """
        if self.end < self.start:
            raise DateRangeError(self.start, self.end)
        keys = entity_keys(views)
        # What holds for everything has no row of its own beside keys.
        asked = [view for view in views if view.keys] or views
        parts = " UNION ALL ".join(self._moments_sql(connection, view, keys) for view in asked)
        order = ", ".join(quoted(name) for name in (EVENT_TIMESTAMP, *keys))
        load_query(connection, f"SELECT DISTINCT * FROM ({parts}) ORDER BY {order}")
        return split(connection, keys, EVENT_TIMESTAMP)

    def _moments_sql(
        self, connection: "duckdb.DuckDBPyConnection", view: ViewRead, keys: Sequence[str]
    ) -> str:
        start, end = micros_since_1970(self.start), micros_since_1970(self.end)
        pinned = self.pins[view.name]
        within = between(pinned, view.event_time, None if view.hidden_until else start, end)
        source = source_of(
            connection, pinned, columns=view.columns, times=view.times, within=within
        )
        times = [
            DUCKDB.column_micros(column, source.kinds[column])
            for column in (view.event_time, *view.hidden_until)
        ]
        moment = f"greatest({', '.join(times)})" if len(times) > 1 else times[0]
        known = " AND ".join(f"{time} IS NOT NULL" for time in times)
        mine = {column: key for key, column in view.keys.items()}
        named = "".join(
            f", {quoted(mine[key]) if key in mine else 'NULL'} AS {quoted(key)}" for key in keys
        )
        return (
            f"SELECT make_timestamptz({moment}) AS {quoted(EVENT_TIMESTAMP)}{named} "
            f"FROM {source.reading((*view.keys, *view.times))} WHERE {known} AND {moment} BETWEEN {start} AND {end}"
        )
