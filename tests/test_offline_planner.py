"""The plan of a point-in-time join: text alone, and ranks that hold what they must."""

import datetime as dt
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakeline.features.offline.dialect import DUCKDB
from lakeline.features.offline.moments import compared, iso_text, moment_of
from lakeline.features.offline.planner import ViewPlan
from lakeline.features.offline.ranking import ANY_EVENT, Ranking, Spread
from lakeline.features.offline.source import COLUMNS, Bounds, Source
from tests.feature_tables import HOUR, view

KINDS = {"event_ts": "timestamptz", "known_ts": "timestamptz"}
SOURCE = Source(relation="rows", position="place", places=1000, kinds=KINDS)
PLAN = ViewPlan(
    view=view(knowledge_time="known_ts", ttl=HOUR),
    source=SOURCE,
    bounds=Bounds(earliest=0, latest=3_600_000_000),
    dialect=DUCKDB,
)


def test_a_plan_names_no_engine_of_its_own():
    spelled = replace(
        DUCKDB,
        micros="unix_micros({})",
        wide="DECIMAL(38, 0)",
        quotient="div({0}, {1})",
        remainder="mod({0}, {1})",
        instant="timestamp('{}')",
    )
    plan = replace(PLAN, dialect=spelled)
    ranking = plan.ranking(Spread(event_min=0, event_max=10, lag_min=0, lag_max=10))
    assert ranking is not None
    text = plan.winners_sql(ranking) + plan.spread_sql() + plan.values_sql("w", [("trips", "n")])
    assert "unix_micros" in text
    for own in ("HUGEINT", "epoch_us", "TIMESTAMPTZ", "//"):
        assert own not in text


def test_a_plan_reads_only_what_an_entity_row_can_see():
    assert PLAN.visible == (
        '"event_ts" IS NOT NULL AND "event_ts" >= TIMESTAMPTZ \'1969-12-31T23:00:00+00:00\' '
        "AND \"event_ts\" <= TIMESTAMPTZ '1970-01-01T01:00:00+00:00' "
        "AND \"known_ts\" <= TIMESTAMPTZ '1970-01-01T01:00:00+00:00'"
    )


def test_a_source_names_the_columns_that_are_read_alone():
    source = replace(SOURCE, relation=f"f({COLUMNS})", entries={"a": "1: a", "b": "2: b"})
    assert source.reading(["b", "b"]) == "f(2: b)"


@given(
    st.lists(
        st.tuples(st.integers(-(10**16), 10**16), st.none() | st.integers(-(10**13), 10**13)),
        min_size=1,
        max_size=6,
    )
)
def test_ranks_order_rows_by_event_then_tie_then_place(found: list[tuple[int, int | None]]):
    lags = [lag for _, lag in found if lag is not None] or [0]
    spread = Spread(
        event_min=min(event for event, _ in found),
        event_max=max(event for event, _ in found),
        lag_min=min(lags),
        lag_max=max(lags),
    )
    ranking = Ranking.of(spread, len(found), has_ties=True)
    assert ranking is not None
    rank = {
        place: (event - spread.event_min) * ranking.event_unit
        + (0 if lag is None else lag - spread.lag_min + 1) * ranking.place_unit
        + place
        for place, (event, lag) in enumerate(found)
    }
    wanted = sorted(rank, key=lambda place: (found[place][0], *_known(found[place]), place))
    assert sorted(rank, key=rank.__getitem__) == wanted
    assert all(value % ranking.place_unit == place for place, value in rank.items())
    assert max(rank.values()) < 2**127


def _known(row: tuple[int, int | None]) -> tuple[bool, int]:
    event, lag = row
    return lag is not None, event + (lag or 0)


def test_a_rank_that_would_not_hold_its_times_is_refused():
    wide = Spread(event_min=-(2**62), event_max=2**62, lag_min=-(2**62), lag_max=2**62)
    assert Ranking.of(wide, 2**20, has_ties=True) is None
    assert Ranking.of(ANY_EVENT, 2**40, has_ties=False) is not None


@pytest.mark.parametrize(
    ("operator", "moment", "day"),
    [(">=", 1, "1970-01-02"), (">=", 0, "1970-01-01"), ("<=", 1, "1970-01-01")],
)
def test_dates_are_compared_by_the_moment_at_which_they_begin(operator: str, moment: int, day: str):
    assert (
        compared("d", operator, moment, kind="date", dialect=DUCKDB)
        == f"\"d\" {operator} DATE '{day}'"
    )


def test_moments_beyond_python_become_the_nearest():
    assert moment_of(2**62) == dt.datetime.max.replace(tzinfo=dt.UTC)
    assert iso_text(-(2**62), "timestamp") == "0001-01-01T00:00:00"
