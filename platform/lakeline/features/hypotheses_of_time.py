"""Causes that serve another row: a time to live, late and disordered rows, an edge taken wrongly."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from lakeline.features.equality import is_same
from lakeline.features.evidence import Evidence
from lakeline.features.guess import FITTED, Guess, alive, values_of
from lakeline.features.replaying import EVENT, MOMENT

if TYPE_CHECKING:
    import polars as pl

LATE_QUANTILES = (0.5, 0.75, 0.9, 0.95, 0.99)
"""Delays, as quantiles of the view's own, from which on a row may have come too late for the store."""

OLDER = 5
"""How many events back a served value is looked for."""

TELLING_VALUES = 20
"""Distinct values from which on finding a served value among some older ones is no accident."""

SHARPNESS = 0.05
"""Share of missing reads that may be younger than the age from which on they are said to be dropped."""

WRITTEN, ROW, NEXT = "lakeline:written", "lakeline:row", "lakeline:next"

MICROSECOND = dt.timedelta(microseconds=1)


class TimeToLive:
    """The store keeps values longer, or drops them earlier, than the view says."""

    name = "TTL"

    def guesses(self, evidence: Evidence) -> Iterator[Guess]:
        """Values of any age; or none from an age on, the one above which reads are missing."""
        import polars as pl

        source, age = evidence.source, evidence.age
        if source.ttl is not None:
            kept = evidence.answers(replace(source, ttl=None))
            detail = f"values older than the time to live of {source.ttl} are served"
            yield Guess(detail=detail, values=values_of(kept, evidence))
            edge = evidence.offline.select(pl.when(age != source.ttl).then(pl.all()))
            yield Guess(
                detail="a value exactly as old as its time to live is dropped",
                values=values_of(edge, evidence),
            )
        for feature, wrong in evidence.wrong.items():
            missing = age.filter(evidence.served[feature].is_null() & pl.Series(wrong)).drop_nulls()
            limit = missing.quantile(SHARPNESS, "lower") if len(missing) else None
            if isinstance(limit, dt.timedelta):
                young = evidence.offline.select(pl.when(age < limit).then(pl.col(feature)))
                detail = f"values from an age of {limit} on are dropped"
                values = {feature: young[feature]}
                yield Guess(detail=detail, values=values, least_consistent=FITTED)


class Order:
    """What was written last wins, though a newer event was there."""

    name = "order"

    def guesses(self, evidence: Evidence) -> Iterator[Guess]:
        """The row known last, whatever its event; for features with many values, one of the events before."""
        import polars as pl

        source = evidence.source
        if source.knowledge_time is not None:
            by_writing = replace(
                source,
                frame=source.frame.lazy().with_columns(pl.col(source.event_time).alias(WRITTEN)),
                event_time=source.knowledge_time,
                features=(*source.features, WRITTEN),
                ttl=None,
            )
            last = evidence.answers(by_writing)
            living = alive(last, evidence.wanted[MOMENT], source.ttl, event=WRITTEN)
            yield Guess(
                detail="the row written last is served, not that of the newest event",
                values=values_of(living, evidence),
            )
        yield from _older(evidence)


class LateEvent:
    """Rows that became known late never reached the store."""

    name = "late event"

    def guesses(self, evidence: Evidence) -> Iterator[Guess]:
        """The features without the rows whose delay is longer than most."""
        import polars as pl

        source = evidence.source
        if source.knowledge_time is None:
            return
        rows = source.frame.lazy()
        late = pl.col(source.known) - pl.col(source.event_time)
        delays = rows.select(late.alias("delay")).collect()["delay"]
        found_at: set[object] = {delays.quantile(share, "lower") for share in LATE_QUANTILES}
        for limit in sorted(one for one in found_at if isinstance(one, dt.timedelta)):
            if (delays > limit).any():
                found = evidence.answers(replace(source, frame=rows.filter(late <= limit)))
                detail = f"rows known more than {limit} after their event are not served"
                yield Guess(detail=detail, values=values_of(found, evidence))


class WindowEdge:
    """Off by one: the neighbouring event is served, always or where a moment falls exactly on an event."""

    name = "window edge"

    def guesses(self, evidence: Evidence) -> Iterator[Guess]:
        """The features without what happens at the very moment; those of the event before, or after."""
        strict = evidence.answers(later=-MICROSECOND)
        yield Guess(
            detail="a row counts only after its moment, not from it on",
            values=values_of(strict, evidence),
        )
        for strategy, word in (("backward", "before"), ("forward", "after")):
            found = _neighbours(evidence, strategy)
            yield Guess(
                detail=f"values are those of the event {word}", values=values_of(found, evidence)
            )


def _older(evidence: Evidence) -> Iterator[Guess]:
    """Of the last events before the one that answers, the value that was served, if it is among them."""
    import polars as pl

    telling = [
        name
        for name in evidence.features
        if evidence.offline[name].drop_nulls().n_unique() >= TELLING_VALUES
    ]
    values = {name: evidence.offline[name] for name in telling}
    start = evidence.offline[EVENT]
    for _ in range(OLDER if telling else 0):
        row = _neighbours(evidence, "backward", start)
        start = row[EVENT]
        for name in telling:
            is_it = is_same(row[name], evidence.served[name], evidence.tolerance)
            seen = pl.Series(is_it) & row[EVENT].is_not_null()
            values[name] = pl.select(
                pl.when(seen).then(row[name]).otherwise(values[name])
            ).to_series()
    if telling:
        yield Guess(detail=f"one of the {OLDER} events before is served", values=values)


def _neighbours(
    evidence: Evidence, strategy: str, start: "pl.Series | None" = None
) -> "pl.DataFrame":
    """The event next to the one that answers each read, before or after it."""
    import polars as pl

    keys = list(evidence.source.entities)
    begin = evidence.offline[EVENT] if start is None else start
    asked = evidence.wanted.select(*keys, begin.alias(MOMENT)).with_row_index(ROW)
    found = asked.sort(MOMENT, nulls_last=True).join_asof(
        evidence.history().with_columns(pl.col(EVENT).alias(NEXT)),
        left_on=MOMENT,
        right_on=NEXT,
        by=keys or None,
        strategy="backward" if strategy == "backward" else "forward",
        allow_exact_matches=False,
        check_sortedness=False,
    )
    return found.sort(ROW).select(*evidence.source.features, EVENT)
