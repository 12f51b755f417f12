"""Plans a point-in-time join as SQL: pure text, which any engine with window functions can run.

A row of a view counts from its *moment*: the latest of its event time and of the times that hide it. An entity row takes,
of the rows of its keys that count by then, the one with the latest event time; among equals the one with the latest time
that breaks ties; among equals again the last in the table. That order is one integer a row, its rank.

So one pass answers an entity row: rows and entity rows are laid together, sorted by moment within their keys, and the
greatest rank so far is the row that an entity row takes. There is no inequality join and nothing is multiplied. A rank
also tells where its row lies, and the features are fetched for the rows that won alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lakeline.features.offline.dialect import Dialect, quoted
from lakeline.features.offline.moments import compared, micros
from lakeline.features.offline.ranking import ANY_EVENT, Ranking, Spread
from lakeline.features.offline.request import ViewRead
from lakeline.features.offline.source import Bounds, Source

ENTITIES = "lakeline_entities"
"""Table of the entity rows: `ROW`, `MOMENT` in microseconds, and their key columns."""

ROW, MOMENT, PLACE, RANK = "__row", "__moment", "__place", "__rank"


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewPlan:
    """A view, the rows that it is read from, and how the engine spells.

    Attributes:
        view: What is asked for.
        source: Rows of its table.
        bounds: Moments of the entity rows; nothing outside what they can see is read.
        dialect: The engine's.
        is_selective: Whether the entity frame has few of the table's keys, so that looking for them first pays.
    """

    view: ViewRead
    source: Source
    bounds: Bounds
    dialect: Dialect
    is_selective: bool = False

    @property
    def needs_spread(self) -> bool:
        """Whether a ranking needs a look at the times first."""
        return self.view.tie_break is not None and not self.source.is_ordered

    def spread_sql(self) -> str:
        """One row: least and greatest event time, least and greatest distance to the time that breaks ties."""
        event, lag = self._event, self._lag
        return (
            f"SELECT min({event}), max({event}), min({lag}), max({lag}) "
            f"FROM {self.source.reading(self.view.times)} WHERE {self.visible}"
        )

    def ranking(self, spread: Spread = ANY_EVENT) -> Ranking | None:
        """How rows are ranked, or None where `sequence_sql` must give them shorter places first."""
        return Ranking.of(spread, self.source.places, has_ties=self.needs_spread)

    def sequence_sql(self) -> str:
        """The rows with a place that orders ties by itself, for times too far apart to be part of a rank."""
        tie = f"{self._micros(self.view.tie_break)} NULLS FIRST, " if self.view.tie_break else ""
        return (
            f"SELECT {_list(self.view.columns)}, "
            f"row_number() OVER (ORDER BY {tie}{self.source.position}) AS {PLACE} "
            f"FROM {self.source.reading(self.view.columns)} WHERE {self.visible}"
        )

    def winners_sql(self, ranking: Ranking) -> str:
        """One row an entity row: `ROW` and the `PLACE` of the row that it takes, null where there is none or it is too old."""
        keys = [f"__key{number}" for number in range(len(self.view.keys))]
        over = f"PARTITION BY {', '.join(keys)} " if keys else ""
        place = self.dialect.remainder.format(RANK, ranking.place_unit)
        return (
            f"SELECT {ROW}, CASE WHEN {self._alive(ranking)} THEN {place} END AS {PLACE} FROM ("
            f"SELECT {ROW}, {MOMENT}, max({RANK}) OVER ({over}ORDER BY {MOMENT}) AS {RANK} FROM ("
            f"SELECT {_aliased(self.view.keys, keys)}{self.moment} AS {MOMENT}, "
            f"{self.rank(ranking)} AS {RANK}, CAST(NULL AS BIGINT) AS {ROW} "
            f"FROM {self.ranked_rows} WHERE {self._candidate} "
            f"UNION ALL SELECT {_aliased(self.view.keys.values(), keys)}{MOMENT}, "
            f"CAST(NULL AS {self.dialect.wide}), {ROW} FROM {ENTITIES})) "
            f"WHERE {ROW} IS NOT NULL"
        )

    def values_sql(self, winners: str, columns: Sequence[tuple[str, str]]) -> str:
        """The features of each entity row in the order of the rows, from a table of winners.

        Args:
            winners: Table that holds what `winners_sql` gives.
            columns: Column of the table, and the name it gets.
        """
        wanted = tuple(dict.fromkeys(column for column, _ in columns))
        read, fetched = (*self._seen_by, *wanted), _list(wanted)
        named = ", ".join(f"f.{quoted(column)} AS {quoted(name)}" for column, name in columns)
        return (
            f"SELECT {named} FROM {winners} w LEFT JOIN ("
            f"SELECT {self.source.position} AS {PLACE}, {fetched} "
            f"FROM {self.source.reading(read)} WHERE {self.visible}) f "
            f"ON f.{PLACE} = w.{PLACE} ORDER BY w.{ROW}"
        )

    @property
    def visible(self) -> str:
        """Condition on columns alone, which readers can prune files and row groups by: what some entity row can see."""
        earliest = [f"{quoted(self.view.event_time)} IS NOT NULL"]
        if self.view.ttl is not None:
            oldest = self.bounds.earliest - micros(self.view.ttl)
            earliest.append(self._compared(self.view.event_time, ">=", oldest))
        return " AND ".join(
            earliest
            + [self._compared(column, "<=", self.bounds.latest) for column in self._seen_by]
        )

    @property
    def ranked_rows(self) -> str:
        """What stands after FROM to rank rows: their keys and times."""
        return self.source.reading((*self.view.keys, *self.view.times))

    @property
    def _seen_by(self) -> tuple[str, ...]:
        return (self.view.event_time, *self.view.hidden_until)

    @property
    def _candidate(self) -> str:
        keys = [quoted(key) for key in self.view.keys]
        found = [self.visible, *(f"{key} IS NOT NULL" for key in keys)]
        if self.is_selective and keys:
            wanted = _list(self.view.keys.values())
            left = keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
            found.append(f"{left} IN (SELECT {wanted} FROM {ENTITIES})")
        return " AND ".join(found)

    @property
    def _event(self) -> str:
        return self._micros(self.view.event_time)

    @property
    def _lag(self) -> str:
        tie = self.view.tie_break
        return f"({self._micros(tie)} - {self._event})" if tie else "0"

    @property
    def moment(self) -> str:
        """Expression of the moment from which a row counts, in microseconds."""
        hidden = [self._micros(column) for column in self.view.hidden_until]
        return f"greatest({', '.join([self._event, *hidden])})" if hidden else self._event

    def rank(self, ranking: Ranking) -> str:
        """Expression of a row's rank: the greater, the more it is preferred."""
        spread, wide = ranking.spread, self.dialect.wide
        event = f"CAST({self._event} - ({spread.event_min}) AS {wide}) * {ranking.event_unit}"
        if not ranking.lag_bits:
            return f"{event} + {self.source.position}"
        lag = f"CAST(coalesce({self._lag} - ({spread.lag_min - 1}), 0) AS {wide})"
        return f"{event} + {lag} * {ranking.place_unit} + {self.source.position}"

    def _alive(self, ranking: Ranking) -> str:
        known = f"{MOMENT} IS NOT NULL"
        if self.view.ttl is None:
            return known
        event = self.dialect.quotient.format(RANK, ranking.event_unit)
        youngest = f"{MOMENT} - ({event} + ({ranking.spread.event_min}))"
        return f"{known} AND {youngest} <= {micros(self.view.ttl)}"

    def _micros(self, column: str | None) -> str:
        assert column is not None
        return self.dialect.column_micros(column, self.source.kinds[column])

    def _compared(self, column: str, operator: str, moment: int) -> str:
        return compared(
            column, operator, moment, kind=self.source.kinds[column], dialect=self.dialect
        )


def spread_of(row: Sequence[int | None]) -> Spread:
    """The spread that `ViewPlan.spread_sql` found; that of nothing is as good as any."""
    event_min, event_max, lag_min, lag_max = (value or 0 for value in row)
    return Spread(event_min=event_min, event_max=event_max, lag_min=lag_min, lag_max=lag_max)


def _list(columns: Iterable[str]) -> str:
    return ", ".join(quoted(column) for column in columns)


def _aliased(columns: Iterable[str], names: Sequence[str]) -> str:
    """The columns under other names, each followed by a comma."""
    return "".join(
        f"{quoted(column)} AS {name}, " for column, name in zip(columns, names, strict=True)
    )
