"""Joins features to decisions as they were known when each decision was made.

A row of a feature source has two times: its *event time*, which its values describe, and its *knowledge time*, when they
could first be read. A decision sees a row only from both on. Of the rows that it sees it takes the one with the latest
event time; among equals the latest known; among equals again the last in the source.

DuckDB's ASOF join follows one time, so the two are reduced to one first: a row counts from its *moment*, the later of its
times, and it is kept only if no row that counts by then beats it. Times to live are measured against the event time.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import ColumnsMissingError, FeatureClashError, KeyTypeError, NotAMomentError

if TYPE_CHECKING:
    import polars as pl

NO_TIME = dt.timedelta(0)
MICROSECOND = dt.timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FeatureSource:
    """Where the values of some features lie, and from when on each of them may be used.

    Attributes:
        name: Name for messages.
        frame: Rows with keys, times and features. Of a lazy frame only these columns, and only the rows that a join can
            reach, are collected.
        entities: Key columns; empty for features that hold for everything.
        event_time: Aware timestamp that the values describe. Rows without one are never used.
        knowledge_time: Aware timestamp from which on the values could be read; without a column, the event time. Rows
            whose knowledge time is null are not known yet and never used.
        features: Columns to join.
        ttl: Age, against the event time, up to which a value may be used, this age included; None for any age.
        offset: How long before the decision the source is looked at.
    """

    name: str
    frame: "pl.LazyFrame | pl.DataFrame"
    entities: tuple[str, ...]
    event_time: str
    features: tuple[str, ...]
    knowledge_time: str | None = None
    ttl: dt.timedelta | None = None
    offset: dt.timedelta = NO_TIME

    @property
    def known(self) -> str:
        """Column of the time from which on a row is known."""
        return self.knowledge_time or self.event_time

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that a join reads, each once."""
        return tuple(dict.fromkeys((*self.entities, self.event_time, self.known, *self.features)))


def point_in_time_join(
    entities: "pl.DataFrame",
    sources: Sequence[FeatureSource],
    *,
    at: str,
    keys: Mapping[str, str] | None = None,
) -> "pl.DataFrame":
    """The entity rows, each once and in their order, with the features as they were known at ``at``.

    Args:
        entities: Rows that need features.
        sources: Where the features lie.
        at: Aware timestamp column of ``entities``: when the decision is made. Rows without one get nulls.
        keys: Column of ``entities`` for each key of the sources that has another name there.

    Raises:
        ColumnsMissingError: A key, a time or a feature does not exist.
        FeatureClashError: A feature is a column already, or comes from two sources.
        NotAMomentError: A time has no time zone or is no timestamp.
        KeyTypeError: A key's types differ, so that nothing could match.
    """
    renames = keys or {}
    _check_clashes(entities, sources)
    _check_columns("The entity frame", entities.columns, [at])
    _check_moment("The entity frame", at, entities.schema[at])
    joined = entities
    for source in sources:
        columns = {key: renames.get(key, key) for key in source.entities}
        joined = joined.with_columns(_features(entities, source, at=at, columns=columns))
    return joined


def _features(
    entities: "pl.DataFrame", source: FeatureSource, *, at: str, columns: Mapping[str, str]
) -> list["pl.Series"]:
    """One column a feature, as long as ``entities``."""
    import polars as pl

    _check_source(entities, source, columns)
    decisions = entities.select(
        *_keys(columns.values(), entities.schema),
        moment=_micros(pl.col(at)) - source.offset // MICROSECOND,
    ).with_row_index("row")
    rows = _reachable(source, decisions["moment"])
    found = _latest(decisions, _candidates(rows, source), source)
    return rows.select(pl.col(*source.features).gather(found)).get_columns()


def _reachable(source: FeatureSource, moments: "pl.Series") -> "pl.DataFrame":
    """Rows of the source that some decision can see, ordered by event time, knowledge time and place."""
    import polars as pl

    lazy = source.frame.lazy().select(source.columns)
    latest, earliest = moments.max(), moments.min()
    if not isinstance(latest, int) or not isinstance(earliest, int):
        return lazy.head(0).collect()
    event, known = pl.col(source.event_time), pl.col(source.known)
    seen = (event <= _instant(latest)) & (known <= _instant(latest))
    if source.ttl is not None:
        seen &= event >= _instant(earliest) - source.ttl
    times = {name: _utc_micros(lazy, name) for name in (source.event_time, source.known)}
    return lazy.with_columns(**times).filter(seen).collect().sort(*times, maintain_order=True)


def _candidates(rows: "pl.DataFrame", source: FeatureSource) -> "pl.DataFrame":
    """Keys, event time and moment of each row; its ``rank`` is its place, so a greater one wins."""
    import polars as pl

    event, known = _micros(pl.col(source.event_time)), _micros(pl.col(source.known))
    return rows.select(
        *_keys(source.entities, rows.schema),
        event=event,
        moment=pl.max_horizontal(event, known),
    ).with_row_index("rank")


def _latest(
    decisions: "pl.DataFrame", candidates: "pl.DataFrame", source: FeatureSource
) -> "pl.Series":
    """The rank of the row that each decision takes, null where there is none."""
    import duckdb

    keys = [f"key{i}" for i in range(len(source.entities))]
    by_key = f"PARTITION BY {', '.join(keys)}" if keys else ""
    same_key = "".join(f"d.{key} = s.{key} AND " for key in keys)
    alive = "" if source.ttl is None else f"AND d.moment - s.event <= {source.ttl // MICROSECOND}"
    query = f"""
        WITH winners AS (
            SELECT * FROM candidates
            QUALIFY rank = max(rank) OVER (
                {by_key} ORDER BY moment RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
            )
        )
        SELECT CASE WHEN s.rank IS NOT NULL {alive} THEN s.rank END AS rank
        FROM decisions d ASOF LEFT JOIN winners s ON {same_key} d.moment >= s.moment
        ORDER BY d.row
    """
    with duckdb.connect() as connection:
        connection.register("decisions", decisions.to_arrow())
        connection.register("candidates", candidates.to_arrow())
        found: pl.DataFrame = connection.sql(query).pl()
    return found["rank"]


def _instant(micros: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(0, dt.UTC) + micros * MICROSECOND


def _micros(column: "pl.Expr") -> "pl.Expr":
    return column.dt.epoch("us")


def _utc_micros(frame: "pl.LazyFrame", name: str) -> "pl.Expr":
    """The column in UTC and microseconds; untouched where it is already, so that a scan can still prune by it."""
    import polars as pl

    column, wanted = pl.col(name), pl.Datetime("us", "UTC")
    if frame.collect_schema()[name] == wanted:
        return column
    return column.dt.cast_time_unit("us").dt.convert_time_zone("UTC")


def _keys(columns: Iterable[str], schema: "pl.Schema") -> list["pl.Expr"]:
    """The key columns under the names that the query uses, which no user's column can collide with."""
    return [_as_text(name, schema[name]).alias(f"key{i}") for i, name in enumerate(columns)]


def _as_text(name: str, dtype: "pl.DataType") -> "pl.Expr":
    """A categorical key as text, because two frames number their categories apart; any other as it is."""
    import polars as pl

    return pl.col(name).cast(pl.String) if _kind(dtype) == "text" else pl.col(name)


def _kind(dtype: "pl.DataType") -> str:
    """What keys must share to be equal: integers of any width match, and texts however they are stored."""
    import polars as pl

    if dtype.is_integer():
        return "integer"
    return "text" if isinstance(dtype, pl.String | pl.Categorical | pl.Enum) else str(dtype)


def _check_clashes(entities: "pl.DataFrame", sources: Sequence[FeatureSource]) -> None:
    origins: dict[str, list[str]] = {column: ["the entity frame"] for column in entities.columns}
    for source in sources:
        for feature in source.features:
            origins.setdefault(feature, []).append(f"source '{source.name}'")
    clashes = {feature: found for feature, found in origins.items() if len(found) > 1}
    if clashes:
        raise FeatureClashError(clashes)


def _check_source(
    entities: "pl.DataFrame", source: FeatureSource, columns: Mapping[str, str]
) -> None:
    where, schema = f"Feature source '{source.name}'", source.frame.lazy().collect_schema()
    _check_columns(where, schema.names(), source.columns)
    _check_columns("The entity frame", entities.columns, columns.values())
    for time in (source.event_time, source.known):
        _check_moment(where, time, schema[time])
    for key, column in columns.items():
        if _kind(schema[key]) != _kind(entities.schema[column]):
            raise KeyTypeError(
                source.name,
                key,
                source_type=str(schema[key]),
                entity_type=str(entities.schema[column]),
            )


def _check_columns(where: str, has: Sequence[str], needed: Iterable[str]) -> None:
    missing = [column for column in needed if column not in has]
    if missing:
        raise ColumnsMissingError(where, missing, has)


def _check_moment(where: str, column: str, dtype: "pl.DataType") -> None:
    if getattr(dtype, "time_zone", None) is None:
        raise NotAMomentError(where, column, str(dtype))
