"""How far back a reader of features reads: what is joined is what the ledger records, whatever the run's range."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lakeline.contract import Contract, column
from lakeline.domain import Daily, Domain, Features, Table, past
from lakeline.domain.node import nodes_of
from lakeline.domain.selection import to_build
from lakeline.errors import DomainError
from lakeline.lake.read import scan_polars
from lakeline.resource import Lakehouse
from lakeline.window import Window
from tests.shop import Run, lakehouse, run

FIRST, OLD, DAY, LAST = "2024-03-01", "2024-03-02", "2024-03-05", "2024-03-06"


class Level(Contract, version="1.0"):
    """One row a river and measurement."""

    event_ts: dt.datetime = column("When it was measured", event_time=True, key=True)
    river: str = column("Name", key=True)
    known_ts: dt.datetime = column("When it was reported", knowledge_time=True)
    level_m: float | None = column("Level", unit="m")


class Flood(Contract, version="1.0"):
    """One row a forecast, with what was known and what came."""

    event_ts: dt.datetime = column("For when it was made", event_time=True, key=True)
    river: str = column("Name", key=True)
    decision_ts: dt.datetime = column("When it was made")
    known_ts: dt.datetime | None = column("When the outcome was known", knowledge_time=True)
    level_m: float | None = column("Level", unit="m")
    floods: bool | None = column("Whether it flooded")


class Scored(Contract, version="1.0"):
    """One row a forecast."""

    event_ts: dt.datetime = column("For when it was made", event_time=True, key=True)
    river: str = column("Name", key=True)
    level_m: float | None = column("Level", unit="m")


@dataclass
class World:
    """What the gauges said, a moment and a level each, and when forecasts are made."""

    levels: dict[str, float] = field(default_factory=lambda: {f"{OLD}T10:00": 1.0})
    forecasts: Sequence[str] = (f"{DAY}T09:00",)


def of_window(moments: Sequence[str], window: Window) -> pl.DataFrame:
    """A row a moment, for the Elbe."""
    frame = pl.DataFrame({"event_ts": moments}, schema={"event_ts": pl.String})
    event = pl.col("event_ts").str.to_datetime(time_unit="us", time_zone="UTC")
    timed = frame.with_columns(event_ts=event, river=pl.lit("Elbe"))
    return timed.filter(pl.col("event_ts") >= window.start, pl.col("event_ts") < window.end)


def rivers(world: World, *, back_days: int | None = None, ttl: str = "7d", at: str = "event_ts") -> Domain:  # fmt: skip
    """The domain; its readers declare the days before by themselves, or are left to derive them."""
    domain = Domain("rivers", owner="team:water", partitions=Daily(FIRST, until="2024-04-01"))

    @domain.table(contract=Level, layer="raw", empty="allow")
    def measured_levels(window: Window) -> pl.DataFrame:
        """What the gauges say."""
        rows = of_window(list(world.levels), window).with_columns(known_ts="event_ts")
        told = [world.levels[f"{one:%Y-%m-%dT%H:%M}"] for one in rows["event_ts"]]
        return rows.with_columns(level_m=pl.Series(told, dtype=pl.Float64))

    @domain.feature_view(contract=Level, reads=[measured_levels], entities=["river"], ttl=ttl)
    def level(window: Window, levels: Table) -> pl.LazyFrame:
        """The level of a river."""
        return levels.read(window)

    feature: Any = level if back_days is None else past(level, days=back_days)

    @domain.training_set(
        contract=Flood, reads=[], features=[feature], label="floods", at=at, known="known_ts"
    )
    def floods(window: Window) -> pl.DataFrame:
        """Forecasts with what was known."""
        return of_window(world.forecasts, window).with_columns(
            decision_ts=pl.col("event_ts") - pl.duration(hours=2),
            known_ts=pl.col("event_ts").dt.offset_by("3h"),
            floods=pl.lit(True),
        )

    @domain.table(contract=Scored, layer="models", features=[feature], empty="allow")
    def scored(window: Window, features: Features) -> pl.DataFrame:
        """Forecasts with the level."""
        return features.join(of_window(world.forecasts, window), at="event_ts")

    domain.complete()
    return domain


@dataclass
class Rivers:
    """A domain with its state."""

    domain: Domain
    house: Lakehouse

    def build(self, first: str = FIRST, last: str = LAST, *names: str) -> Run:
        chosen = [one for one in self.domain.assets if not names or one.key.path[-1] in names]
        done = run(chosen, self.house, first, last)
        assert done.success, done.error
        return done

    def levels(self, name: str = "floods") -> list[float | None]:
        frame = scan_polars(self.house.lake.load(f"rivers.{name}")).collect()
        return frame.sort("event_ts")["level_m"].to_list()

    def joined(self, name: str, day: str = DAY) -> list[str]:
        """Days of the view that the ledger has for a day of a reader."""
        inputs = self.house.ledger.inputs_of([(f"rivers/{name}", day)])[f"rivers/{name}", day]
        return sorted(one.partition for one in inputs if one.asset == "rivers/level")


def made(folder: Path, world: World | None = None, **settings: Any) -> Rivers:
    return Rivers(domain=rivers(world or World(), **settings), house=lakehouse(folder))


def back_days(domain: Domain, name: str) -> int:
    [read] = [one for one in nodes_of(domain.assets)[f"rivers/{name}"].reads if one.node.entities]
    return read.back_days


@pytest.mark.parametrize(("ttl", "days"), [("6h", 1), ("24h", 1), ("25h", 2), ("7d", 7)])
def test_a_view_without_past_is_read_as_far_back_as_its_values_live(ttl: str, days: int) -> None:
    assert back_days(rivers(World(), ttl=ttl), "floods") == days


def test_a_decision_before_its_event_reaches_a_day_further() -> None:
    assert back_days(rivers(World(), at="decision_ts"), "floods") == 8
    assert back_days(rivers(World()), "scored") == 8  # nobody knows when it will decide


def test_days_that_are_declared_stay_as_they_are() -> None:
    domain = rivers(World(), back_days=1)
    assert (back_days(domain, "floods"), back_days(domain, "scored")) == (1, 1)


def test_a_correction_of_an_old_day_marks_what_joined_its_value(tmp_path: Path) -> None:
    world = World()
    found = made(tmp_path, world)
    found.build()
    assert (found.levels("floods"), found.levels("scored")) == ([1.0], [1.0])
    assert {OLD, DAY} <= set(found.joined("floods")) & set(found.joined("scored"))
    world.levels[f"{OLD}T10:00"] = 2.0
    found.build(OLD, OLD, "measured_levels", "level")
    for name in ("floods", "scored"):
        node = nodes_of(found.domain.assets)[f"rivers/{name}"]
        assert to_build(found.house.ledger, node, [DAY], {"lakeline/if_changed": "true"}) == (DAY,)


def test_a_value_of_a_day_that_is_not_declared_is_not_joined(tmp_path: Path) -> None:
    """Not in a run over days that another row declares either."""
    world = World(forecasts=(f"{FIRST}T12:00", f"{OLD}T11:00", "2024-03-03T11:00", f"{DAY}T09:00"))
    found = made(tmp_path, world, back_days=1)
    found.build()
    expected = [None, 1.0, 1.0, None]
    assert (found.levels("floods"), found.levels("scored")) == (expected, expected)
    found.build(DAY, DAY, "floods", "scored")
    assert (found.levels("floods"), found.levels("scored")) == (expected, expected)
    assert found.joined("floods") == ["2024-03-04", DAY]


def test_a_value_of_the_day_before_is_joined_after_midnight(tmp_path: Path) -> None:
    world = World(levels={f"{OLD}T23:30": 3.0}, forecasts=("2024-03-03T00:10",))
    found = made(tmp_path, world, ttl="1h")
    found.build()
    assert (found.levels("floods"), found.levels("scored")) == ([3.0], [3.0])


def test_a_view_that_was_built_and_has_no_row_yet_joins_as_nulls(tmp_path: Path) -> None:
    found = made(tmp_path, World(levels={}))
    done = found.build()
    assert (found.levels("floods"), found.levels("scored")) == ([None], [None])
    assert done.check("floods", "future").passed
    assert found.joined("floods")[-1] == DAY  # so that its first row is noticed


def test_a_key_with_the_name_of_feasts_moment_is_refused() -> None:
    class Moved(Contract, version="1.0"):
        """One row a moment."""

        event_ts: dt.datetime = column("When", event_time=True, key=True)
        event_timestamp: dt.datetime = column("Which moment", key=True)
        known_ts: dt.datetime = column("When known", knowledge_time=True)
        level_m: float | None = column("Level", unit="m")

    domain = Domain("rivers", owner="team:water", partitions=Daily(FIRST, until="2024-04-01"))

    @domain.feature_view(contract=Moved, reads=[], entities=["event_timestamp"], ttl="1d")
    def level(window: Window) -> pl.DataFrame:
        pytest.fail("only declared")

    with pytest.raises(DomainError, match="'rivers/level' in features=, whose key is called event_timestamp"):  # fmt: skip

        @domain.table(contract=Scored, features=[level])
        def scored(window: Window, features: Features) -> pl.DataFrame:
            pytest.fail("only declared")
