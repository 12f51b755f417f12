"""Features of a domain: joined through Feast, registered, kept online, compared, measured."""

import datetime as dt
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import sqlalchemy as sa

from lakeline.contract import Contract, column
from lakeline.deployment import Timepiece
from lakeline.domain import Daily, Domain, Features, Table, past
from lakeline.domain.feature_assets import NestedFunctionError, RequestTypeError
from lakeline.domain.labels import LabelColumnsError
from lakeline.domain.measuring import measured
from lakeline.domain.node import nodes_of
from lakeline.domain.online_assets import OnlineTypeError
from lakeline.domain.parity_report import failed_parity
from lakeline.domain.serving import online_view
from lakeline.errors import ColumnsMissingError, DomainError, FeatureClashError
from lakeline.features.on_demand import OnDemand, OnDemandError
from lakeline.features.point_in_time import FeatureSource, point_in_time_join
from lakeline.lake.lock import file_turn
from lakeline.online import Reader, open_store
from lakeline.resource import Lakehouse
from lakeline.window import Window
from tests.shop import Run, lakehouse, run

DAYS = ("2024-03-01", "2024-03-02", "2024-03-03")
UTC = pl.Datetime("us", "UTC")


class Level(Contract, version="1.0"):
    """One row a river and measurement."""

    event_ts: dt.datetime = column("When it was measured", event_time=True, key=True)
    river: str = column("Name", key=True)
    known_ts: dt.datetime = column("When it was reported", knowledge_time=True)
    level_m: float | None = column("Level", unit="m")
    readings: int = column("Readings that it is the mean of")


class Season(Contract, version="1.0"):
    """What follows from the moment alone."""

    hour: int = column("Hour of the day", unit="h")
    place: str = column("River and gauge")


class Flood(Contract, version="1.0"):
    """One row a forecast, with what was known and what came."""

    event_ts: dt.datetime = column("When it was made", event_time=True, key=True)
    river: str = column("Name", key=True)
    gauge: str = column("Gauge")
    known_ts: dt.datetime | None = column("When the outcome was known", knowledge_time=True)
    level_m: float | None = column("Level", unit="m")
    readings: int | None = column("Readings")
    hour: int = column("Hour of the day", unit="h")
    place: str = column("River and gauge")
    floods: bool | None = column("Whether it flooded")


class Scored(Contract, version="1.0"):
    """One row a forecast."""

    event_ts: dt.datetime = column("When it was made", event_time=True, key=True)
    river: str = column("Name", key=True)
    seen_m: float | None = column("Level that was known", unit="m")


@dataclass
class World:
    """What there is: measurements and forecasts, which a test may change."""

    levels: list[tuple[str, str, str, float | None, int]] = field(default_factory=list)
    forecasts: list[tuple[str, str, str, str | None, bool | None]] = field(default_factory=list)

    @classmethod
    def usual(cls) -> "World":
        """Hourly levels, one of them reported two days late, and some forecasts."""
        hours = [f"{day}T{hour:02}:00" for day in DAYS for hour in range(0, 24, 3)]
        levels: list[tuple[str, str, str, float | None, int]] = [
            (hour, river, hour[:14] + "30", number + place, number)
            for place, river in enumerate(("Elbe", "Oder"))
            for number, hour in enumerate(hours)
        ]
        levels.append(("2024-03-01T10:00", "Elbe", "2024-03-03T12:00", 99.0, 7))
        forecasts: list[tuple[str, str, str, str | None, bool | None]] = [
            (f"{day}T{hour:02}:10", river, "upper", f"{day}T23:59", hour > 12)
            for day in DAYS
            for hour in (1, 11, 13, 22)
            for river in ("Elbe", "Oder", "Spree")
        ]
        return cls(levels=levels, forecasts=forecasts)


def of_window(frame: pl.DataFrame, window: Window) -> pl.DataFrame:
    moments = [name for name in frame.columns if name.endswith("_ts")]
    timed = frame.with_columns(pl.col(moments).str.to_datetime(time_unit="us", time_zone="UTC"))
    return timed.filter(pl.col("event_ts") >= window.start, pl.col("event_ts") < window.end)


def levels_frame(world: World, window: Window) -> pl.DataFrame:
    schema = ["event_ts", "river", "known_ts", "level_m", "readings"]
    return of_window(pl.DataFrame(world.levels, schema=schema, orient="row"), window)


def forecasts_frame(world: World, window: Window) -> pl.DataFrame:
    schema = {"event_ts": pl.String, "river": pl.String, "gauge": pl.String, "known_ts": pl.String, "floods": pl.Boolean}  # fmt: skip
    return of_window(pl.DataFrame(world.forecasts, schema=schema, orient="row"), window)


def new_domain(name: str = "rivers") -> Domain:
    return Domain(name, owner="team:water", partitions=Daily(DAYS[0], until="2024-04-01"))


@new_domain().on_demand_view(
    contract=Season, request={"event_ts": dt.datetime, "river": str, "gauge": str}
)
def season(rows: pl.DataFrame) -> pl.DataFrame:
    """Hour and place."""
    return rows.select(
        hour=pl.col("event_ts").dt.hour().cast(pl.Int64),
        place=pl.concat_str("river", "gauge", separator=" "),
    )


def rivers(world: World) -> Domain:
    """The domain, whose functions read ``world`` when they run."""
    domain = new_domain()

    @domain.table(contract=Level, layer="raw")
    def measured_levels(window: Window) -> pl.DataFrame:
        """What the gauges say."""
        return levels_frame(world, window)

    @domain.feature_view(
        contract=Level, reads=[measured_levels], entities=["river"], ttl="6h", online=True
    )
    def level(window: Window, levels: Table) -> pl.LazyFrame:
        """The level of a river."""
        return levels.read(window)

    domain.on_demand.append(season)

    @domain.table(contract=Flood, layer="clean", empty="allow")
    def forecasts(window: Window) -> pl.DataFrame:
        """The forecasts that were made."""
        missing = {
            "level_m": pl.Float64,
            "readings": pl.Int64,
        }
        return forecasts_frame(world, window).with_columns(
            *(pl.lit(None, dtype).alias(name) for name, dtype in missing.items()),
            hour=pl.lit(0, pl.Int64),
            place=pl.lit(""),
        )

    @domain.training_set(
        contract=Flood,
        reads=[forecasts],
        features=[past(level, days=1), season],
        label="floods",
        at="event_ts",
        known="known_ts",
    )
    def floods(window: Window, forecasts: Table) -> pl.LazyFrame:
        """Forecasts with what was known."""
        return forecasts.read(window, ["event_ts", "river", "gauge", "known_ts", "floods"])

    @domain.table(
        contract=Scored, layer="models", reads=[forecasts], features=[past(level, days=1)]
    )
    def scored(window: Window, forecasts: Table, features: Features) -> pl.DataFrame:
        """Forecasts with the level, in one frame."""
        rows = forecasts.read(window, ["event_ts", "river"])
        return features.join(rows, at="event_ts").select("event_ts", "river", seen_m="level_m")

    domain.complete()
    return domain


@dataclass
class Rivers:
    """The domain with its state."""

    world: World
    folder: Path
    domain: Domain
    house: Lakehouse

    def build(self, first: str = DAYS[0], last: str = DAYS[2], now: str = "2024-03-04T06:00", tags: dict[str, str] | None = None, **more: Any) -> Run:  # fmt: skip
        clock = Timepiece(replay_start=now, replay_anchor=str(self.folder / f"{now[:13]}.json"))
        return run(self.domain.assets, self.house, first, last, clock=clock, tags=tags, **more)

    def rows(self, name: str) -> pl.DataFrame:
        from lakeline.lake.read import scan_polars

        frame = scan_polars(self.house.lake.load(f"rivers.{name}")).collect()
        return frame.sort("event_ts", "river")

    def node(self, name: str) -> Any:
        return nodes_of(self.domain.assets)[f"rivers/{name}"]

    def online(self, now: str, *names: str) -> dict[str, list[Any]]:
        """What a server would read of the rivers at a moment; None where there is no value."""
        store = open_store(self.house.online_url, prefix="rivers")
        moment = dt.datetime.fromisoformat(now).replace(tzinfo=dt.UTC)
        found = Reader([(online_view(self.node("level")), None)], store).read({"river": list(names)}, moment)  # fmt: skip
        store.close()
        return {
            name: [
                None if gone else value
                for value, gone in zip(
                    values.tolist(), found.missing[name] | found.expired[name], strict=True
                )
            ]
            for name, values in found.columns.items()
        }


def made(folder: Path) -> Rivers:
    world = World.usual()
    return Rivers(world=world, folder=folder, domain=rivers(world), house=lakehouse(folder))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Rivers, Run]:
    """Three days of everything."""
    found = made(tmp_path_factory.mktemp("rivers"))
    done = found.build()
    assert done.success, done.error
    return found, done


# --- joining ------------------------------------------------------------------------------------


def test_a_training_set_has_what_was_known_at_each_decision(built: tuple[Rivers, Run]) -> None:
    world, house = built[0].world, built[0]
    rows = house.rows("floods")
    views = levels_frame(world, Window.of_days(DAYS[0], DAYS[2]))
    source = FeatureSource(
        name="level",
        frame=views,
        entities=("river",),
        event_time="event_ts",
        knowledge_time="known_ts",
        features=("level_m", "readings"),
        ttl=dt.timedelta(hours=6),
    )
    bare = rows.drop("level_m", "readings")
    expected = point_in_time_join(bare, [source], at="event_ts")
    assert rows.select(expected.columns).equals(expected)
    assert rows["level_m"].null_count() > rows.filter(pl.col("river") == "Spree").height - 1
    assert 99.0 not in rows["level_m"].to_list()  # it was known two days later, and too old by then


def test_on_demand_features_are_those_of_their_function(built: tuple[Rivers, Run]) -> None:
    rows = built[0].rows("floods")
    assert rows["hour"].to_list() == rows["event_ts"].dt.hour().to_list()
    assert set(rows["place"]) == {"Elbe upper", "Oder upper", "Spree upper"}


def test_scoring_joins_the_same_values_as_training(built: tuple[Rivers, Run]) -> None:
    trained, scored = built[0].rows("floods"), built[0].rows("scored")
    assert scored["seen_m"].to_list() == trained["level_m"].to_list()


def test_the_ledger_knows_which_partitions_of_a_view_were_joined(built: tuple[Rivers, Run]) -> None:
    inputs = built[0].house.ledger.inputs_of([("rivers/floods", DAYS[1])])["rivers/floods", DAYS[1]]
    read = {(one.asset, one.partition) for one in inputs}
    assert {("rivers/level", DAYS[0]), ("rivers/level", DAYS[1])} <= read


def test_checks_of_a_training_set_pass_on_honest_rows(built: tuple[Rivers, Run]) -> None:
    assert built[1].check("floods", "future").passed
    leakage = built[1].check("floods", "leakage")
    assert leakage.passed
    assert "3 labelled day(s) are too few to tell" in str(leakage.description)


def test_a_label_that_nobody_knew_is_none(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.world.forecasts = [("2024-03-01T01:10", "Elbe", "upper", None, True)]
    assert found.build(DAYS[0], DAYS[0]).success
    assert found.rows("floods")["floods"].to_list() == [None]


def test_a_label_that_was_known_when_the_decision_was_made_fails_the_check(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.world.forecasts = [("2024-03-01T11:10", "Elbe", "upper", "2024-03-01T11:00", True)]
    check = found.build(DAYS[0], DAYS[0]).check("floods", "future")
    assert not check.passed
    assert "floods was known already when 1 of 1 decisions were made" in str(check.description)


# --- declaring ----------------------------------------------------------------------------------


def raw_table(domain: Domain) -> dg.AssetsDefinition:
    @domain.table(contract=Level, layer="raw")
    def levels(window: Window) -> pl.DataFrame:
        """Levels."""
        pytest.fail("only declared")

    return levels


def view_of(domain: Domain, raw: dg.AssetsDefinition, name: str, **more: Any) -> Any:
    def function(window: Window, levels: Table) -> pl.LazyFrame:
        """Levels."""
        pytest.fail("only declared")

    function.__name__ = name
    settings = {"contract": Level, "entities": ["river"], "ttl": "6h", **more}
    return domain.feature_view(reads=[raw], **settings)(function)


def test_a_table_is_no_feature_view() -> None:
    domain = new_domain("lakes")
    raw = raw_table(domain)
    with pytest.raises(DomainError, match="has 'lakes/levels' in features=, which is no feature view"):  # fmt: skip

        @domain.table(contract=Scored, features=[raw])
        def scored(window: Window, features: Features) -> pl.DataFrame:
            pytest.fail("only declared")


def test_two_views_with_a_feature_of_one_name_are_refused() -> None:
    domain = new_domain("lakes")
    raw = raw_table(domain)
    views = [view_of(domain, raw, name) for name in ("upper", "lower")]
    with pytest.raises(FeatureClashError, match="level_m from view 'upper', view 'lower'"):

        @domain.table(contract=Scored, features=views)
        def scored(window: Window, features: Features) -> pl.DataFrame:
            pytest.fail("only declared")


def test_a_training_set_names_columns_that_it_has() -> None:
    domain = new_domain("lakes")
    raw = raw_table(domain)
    with pytest.raises(LabelColumnsError, match=r"'lakes/floods' names flood, which its contract does not have"):  # fmt: skip

        @domain.training_set(contract=Flood, reads=[raw], features=[view_of(domain, raw, "level")], label="flood", at="event_ts", known="known_ts")  # fmt: skip
        def floods(window: Window, levels: Table) -> pl.DataFrame:
            pytest.fail("only declared")


def test_a_request_brings_only_plain_values() -> None:
    declare = new_domain("lakes").on_demand_view(contract=Season, request={"event_date": dt.date})  # type: ignore[dict-item]
    with pytest.raises(RequestTypeError, match=r"wants 'event_date' as date\. Use one of bool, int, float, str, datetime"):  # fmt: skip
        declare(forecasts_frame)


def test_an_on_demand_function_stands_at_the_top_of_a_module() -> None:
    with pytest.raises(NestedFunctionError, match="'season' is made inside test_an_on_demand"):

        @new_domain("lakes").on_demand_view(contract=Season, request={"river": str})
        def season(rows: pl.DataFrame) -> pl.DataFrame:
            pytest.fail("only declared")


def test_a_view_with_a_column_that_cannot_be_online_says_so() -> None:
    class Dated(Contract, version="1.0"):
        """A row with a date."""

        event_ts: dt.datetime = column("When", event_time=True, key=True)
        river: str = column("Name", key=True)
        known_ts: dt.datetime = column("When known", knowledge_time=True)
        dredged_date: dt.date | None = column("When it was dredged")

    domain = new_domain("lakes")
    with pytest.raises(OnlineTypeError, match="its column 'dredged_date' is date"):
        view_of(domain, raw_table(domain), "level", contract=Dated, online=True)


def on_demand(function: Any) -> OnDemand:
    return OnDemand(
        name="season",
        function=function,
        request={"river": str},
        contract=Season,
        owner="team:water",
    )


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (pl.DataFrame({"hour": [1], "place": ["x"]}), "returned 1 rows for 2"),
        (pl.DataFrame({"hour": [1, 2]}), "did not return place"),
    ],
)
def test_what_an_on_demand_function_returns_is_looked_at(returned: pl.DataFrame, told: str) -> None:
    with pytest.raises(OnDemandError, match=told):
        on_demand(lambda _: returned).compute(pl.DataFrame({"river": ["a", "b"]}))


def test_a_request_without_a_value_is_named() -> None:
    with pytest.raises(ColumnsMissingError, match="The request of 'season' has no column river"):
        on_demand(lambda rows: rows).compute(pl.DataFrame({"gauge": ["a"]}))


# --- online -------------------------------------------------------------------------------------


def test_the_newest_value_is_online_until_it_is_too_old(built: tuple[Rivers, Run]) -> None:
    assert built[0].online("2024-03-03T22:00", "Elbe", "Oder", "Spree") == {
        "level_m": [23.0, 24.0, None],
        "readings": [23, 23, None],
    }
    assert built[0].online("2024-03-04T03:01", "Elbe")["level_m"] == [None]


def pushed(done: Run) -> str:
    (found,) = done.materializations("level_online")
    return str(found.metadata["partitions"].value)


def test_only_partitions_that_changed_are_brought_online(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert pushed(found.build()) == "2024-03-02, 2024-03-03"  # those that 6 hours may still serve
    assert pushed(found.build()) == "none"
    found.world.levels.append(("2024-03-03T23:00", "Oder", "2024-03-03T23:30", 5.5, 1))
    assert pushed(found.build()) == "2024-03-03"
    assert found.online("2024-03-04T01:00", "Oder")["level_m"] == [5.5]


def test_two_fillings_of_a_view_go_one_after_the_other(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found, done, said = made(tmp_path), list[Run](), ""
    assert found.build(DAYS[0], DAYS[1]).success
    with file_turn(Path(found.house.locks) / "rivers.level_online.build.lock", "another") as turn:
        assert turn.try_take()
        second = threading.Thread(target=lambda: done.append(found.build()))
        second.start()
        for _ in range(600):
            said += capfd.readouterr().err
            if "Another build of 'rivers/level_online' is under way; this one waits" in said:
                break
            second.join(0.1)
        assert "this one waits" in said
        assert not done
        assert found.online("2024-03-03T22:00", "Oder")["level_m"] == [None]
    second.join(120)
    assert done[0].success
    assert found.online("2024-03-03T22:00", "Oder")["level_m"] == [24.0]


def test_a_value_that_is_not_known_yet_is_not_online(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.world.levels.append(("2024-03-03T23:00", "Oder", "2024-03-04T08:00", 5.5, 1))
    found.build(now="2024-03-04T06:00")
    assert found.online("2024-03-04T02:00", "Oder")["level_m"] == [24.0]
    assert pushed(found.build(now="2024-03-04T09:00")) == "2024-03-03"
    assert found.online("2024-03-04T02:00", "Oder")["level_m"] == [5.5]


def test_a_value_is_not_online_before_its_event_time(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.world.levels.append(("2024-03-03T18:10", "Elbe", "2024-03-03T09:00", 50.0, 1))
    done = found.build(now="2024-03-03T13:00")
    assert found.online("2024-03-03T13:00", "Elbe")["level_m"] == [20.0]  # of 12:00
    assert done.check("level_parity", "parity").passed
    assert pushed(found.build(now="2024-03-03T18:20")) == "2024-03-03"
    assert found.online("2024-03-03T18:20", "Elbe")["level_m"] == [50.0]


class Revised(Level, version="1.0"):
    """One row a river, measurement and report of it."""

    known_ts: dt.datetime = column("When it was reported", knowledge_time=True, key=True)


@pytest.mark.parametrize("is_first", [True, False])
def test_of_one_event_time_the_value_that_was_known_last_is_online(tmp_path: Path, *, is_first: bool) -> None:  # fmt: skip
    levels: list[tuple[str, str, str, float | None, int]] = [
        ("2024-03-01T10:00", "Elbe", "2024-03-01T10:05", 1.0, 1),
        ("2024-03-01T10:00", "Elbe", "2024-03-01T12:00", 9.0, 1),
    ]
    world = World(levels=levels[:: -1 if is_first else 1])
    domain = new_domain()

    @domain.feature_view(contract=Revised, reads=[], entities=["river"], ttl="6h", online=True)
    def level(window: Window) -> pl.DataFrame:
        """The level of a river."""
        return levels_frame(world, window)

    found = Rivers(world=world, folder=tmp_path, domain=domain, house=lakehouse(tmp_path))
    done = found.build(DAYS[0], DAYS[0], now="2024-03-01T13:00")
    assert found.online("2024-03-01T13:00", "Elbe")["level_m"] == [9.0]
    assert done.check("level_parity", "parity").passed


def test_what_is_online_is_stale_once_a_row_comes_to_count(tmp_path: Path) -> None:
    from lakeline.domain.awaiting import take_up
    from lakeline.freshness.declared import graph_of
    from lakeline.freshness.reconciler import Reconciler

    found = made(tmp_path)
    found.world.levels.append(("2024-03-03T23:00", "Oder", "2024-03-04T08:00", 5.5, 1))
    found.build(now="2024-03-04T06:00")
    nodes, ledger = nodes_of(found.domain.assets), found.house.ledger
    (online,) = (one for one in found.domain.assets if one.key.path[-1] == "level_online")
    pair = ("rivers/level_online", "")

    def filled(hour: int) -> list[str]:
        clock = Timepiece(replay_start=f"2024-03-04T{hour:02}:00", replay_anchor=str(tmp_path / f"{hour}.json"))  # fmt: skip
        done = run([online], found.house, tags={"lakeline/if_changed": "true"}, clock=clock)
        told = done.materializations("level_online")
        return [str(one.metadata["partitions"].value) for one in told if "restated" in one.metadata]  # fmt: skip

    def at(hour: int) -> dt.datetime:
        return dt.datetime(2024, 3, 4, hour, tzinfo=dt.UTC)

    def decided(hour: int) -> tuple[str, str] | None:
        found = Reconciler(graph_of(nodes), ledger).tick(at(hour)).of(*pair)
        return (found.action, found.reason) if found is not None else None

    assert (take_up(ledger, at(7)), decided(7), filled(7)) == ([], None, [])
    assert (take_up(ledger, at(9)), take_up(ledger, at(9))) == ([pair[0]], [])
    assert decided(9) == ("build", "rivers/level[2024-03-03] has changed")
    assert filled(9) == ["2024-03-03"]
    assert found.online("2024-03-04T02:00", "Oder")["level_m"] == [5.5]
    assert (take_up(ledger, at(10)), decided(10), filled(10)) == ([], None, [])


def test_a_run_that_builds_what_has_changed_takes_up_rows_that_came_to_count(tmp_path: Path) -> None:  # fmt: skip
    found = made(tmp_path)
    found.world.levels.append(("2024-03-03T23:00", "Oder", "2024-03-04T08:00", 5.5, 1))
    found.build(now="2024-03-04T06:00")
    done = found.build(now="2024-03-04T09:00", tags={"lakeline/if_changed": "true"})
    assert pushed(done) == "2024-03-03"
    assert done.check("level_parity", "parity").passed
    assert found.online("2024-03-04T02:00", "Oder")["level_m"] == [5.5]


@pytest.mark.parametrize("ttl", ["0h", "0d"])
def test_a_time_to_live_of_nothing_is_refused(ttl: str) -> None:
    domain = new_domain("lakes")
    raw = raw_table(domain)
    with pytest.raises(DomainError, match=f"'level' has ttl='{ttl}', so its values could be used for no time"):  # fmt: skip
        view_of(domain, raw, "level", ttl=ttl)


# --- parity -------------------------------------------------------------------------------------


def test_what_is_online_is_what_the_rows_say(built: tuple[Rivers, Run]) -> None:
    check = built[1].check("level_parity", "parity")
    assert check.passed
    assert check.description == "All 4 values that were served are those of the offline path."


def test_a_value_that_differs_online_fails_parity_and_is_remembered(tmp_path: Path) -> None:
    from lakeline.features.read_log import READ

    found = made(tmp_path)
    found.build()
    view = found.node("level")
    assert failed_parity(found.house.ledger, [view]) == []
    log = found.house.read_log("rivers")
    (honest,) = log.newest("level")
    log.append("level", honest.with_columns(level_m=pl.col("level_m") + 1).with_columns(pl.col(READ)))  # fmt: skip
    found.world.levels.append(("2024-03-02T01:00", "Oder", "2024-03-02T01:30", 5.5, 1))
    check = found.build().check("level_parity", "parity")
    assert not check.passed
    assert "level.level_m: 2 differ" in str(check.description)
    assert failed_parity(found.house.ledger, [view]) == ["rivers/level_parity"]


def test_a_value_that_is_corrected_after_it_was_served_is_no_difference(tmp_path: Path) -> None:
    found = made(tmp_path)
    found.build()
    place = next(n for n, one in enumerate(found.world.levels) if one[3] == 24.0)
    found.world.levels[place] = (*found.world.levels[place][:3], 77.0, 23)
    check = found.build().check("level_parity", "parity")
    assert found.online("2024-03-03T22:00", "Oder")["level_m"] == [77.0]
    assert check.passed, check.description
    assert check.metadata["values"].value == 8  # both fillings are judged, each by its own rows
    assert failed_parity(found.house.ledger, [found.node("level")]) == []


def test_reads_of_rows_that_the_table_has_forgotten_are_not_judged(tmp_path: Path) -> None:
    from lakeline.features.read_log import FILLED, SNAPSHOT

    found = made(tmp_path)
    found.build()
    log = found.house.read_log("rivers")
    (honest,) = log.newest("level")
    wrong = pl.col("level_m") + 1
    late = pl.col(FILLED) + dt.timedelta(hours=1)
    log.append("level", honest.with_columns(wrong, late, pl.lit(1, pl.Int64).alias(SNAPSHOT)))
    check = found.build().check("level_parity", "parity")
    assert check.passed, check.description
    assert check.metadata["values"].value == 8  # of two equal fillings


def test_reads_that_say_no_snapshot_are_of_the_filling_before_them(tmp_path: Path) -> None:
    from lakeline.features.read_log import FILLED, SNAPSHOT, ReadLog

    log, noon = ReadLog(tmp_path), dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)
    assert log.newest("level") == []
    for value, snapshot_id in ((0, None), (1, 10), (2, None), (3, 20), (4, None), (5, 20)):
        told = {} if snapshot_id is None else {SNAPSHOT: [snapshot_id]}
        log.append("level", pl.DataFrame({"level_m": [value], FILLED: [noon], **told}))
    assert [one["level_m"].to_list() for one in log.newest("level")] == [[1, 2], [3, 4, 5]]
    assert [one["level_m"].to_list() for one in log.newest("level", 3)] == [[0], [1, 2], [3, 4, 5]]


def test_reads_that_are_older_than_the_rows_at_hand_are_not_judged(tmp_path: Path) -> None:
    found = made(tmp_path)
    assert found.build(DAYS[0], DAYS[0]).check("level_parity", "parity").passed
    check = found.build(DAYS[1], DAYS[2]).check("level_parity", "parity")
    assert check.passed, check.description


def test_a_challenger_whose_features_are_served_otherwise_is_refused(tmp_path: Path) -> None:
    from lakeline.domain.challenge import unless_skewed
    from lakeline.freshness.retraining import FAILED, WATCHED_CHECK
    from lakeline.ledger import State
    from lakeline.models.gate import GateDecision

    found = made(tmp_path)
    better = GateDecision(promoted=True, metric="brier", reason="it is better")
    views = [found.node("level")]
    assert unless_skewed(found.house, views, better).promoted
    state = State(asset="rivers/level_parity", name=f"{WATCHED_CHECK}parity", state=FAILED, detail={})  # fmt: skip
    found.house.ledger.set_states([state], dt.datetime.now(dt.UTC))
    refused = unless_skewed(found.house, views, better)
    assert not refused.promoted
    assert refused.reason == "rivers/level_parity found that online and offline differ; else: it is better"  # fmt: skip


# --- the registry -------------------------------------------------------------------------------


def test_the_registry_has_what_the_domain_declares_and_no_more(tmp_path: Path) -> None:
    from lakeline.domain.feast.objects import objects_of_domain
    from lakeline.domain.feast.project import apply, store_of

    found = made(tmp_path)
    everything = objects_of_domain(found.domain)
    apply(found.house, "rivers", everything)
    store = store_of(found.house, "rivers")
    view = store.get_feature_view("level")
    assert [entity.name for entity in store.list_entities()] == ["river"]
    source: Any = view.batch_source
    assert (view.ttl, source.table) == (dt.timedelta(hours=6), "rivers.level")
    assert source.knowledge_time_field == "known_ts"
    assert [one.name for one in store.list_on_demand_feature_views()] == ["season"]
    apply(found.house, "rivers", objects_of_domain(new_domain()))
    again = store_of(found.house, "rivers")
    assert list(again.list_feature_views()) == []


def test_a_registry_that_was_applied_has_nothing_to_add(built: tuple[Rivers, Run]) -> None:
    from lakeline.domain.feast.objects import objects_of_domain
    from lakeline.domain.feast.project import is_applied, store_of

    store = store_of(built[0].house, "rivers")
    assert is_applied(store, objects_of_domain(built[0].domain))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE feature_views SET feature_view_proto = x'ffffffff'",
        "ALTER TABLE feature_views RENAME COLUMN feature_view_proto TO feature_view_message",
    ],
)
def test_a_registry_of_another_version_is_named_with_the_way_out(tmp_path: Path, change: str) -> None:  # fmt: skip
    from lakeline.domain.feast.objects import objects_of_domain
    from lakeline.domain.feast.project import UnreadableRegistryError, apply, require_applied

    found = made(tmp_path)
    apply(found.house, "rivers", objects_of_domain(found.domain))
    engine = sa.create_engine(found.house.registry_url)
    with engine.begin() as connection:
        connection.exec_driver_sql(change)
    engine.dispose()
    with pytest.raises(UnreadableRegistryError, match=r"registry.db cannot be read by Feast 0\..*LAKELINE_FEATURE_REGISTRY"):  # fmt: skip
        require_applied(found.house, "rivers", objects_of_domain(found.domain))


def test_feast_serves_what_the_direct_reader_reads(built: tuple[Rivers, Run]) -> None:
    from lakeline.domain.feast.project import store_of

    store = store_of(built[0].house, "rivers", as_of="2024-03-03T22:00:00+00:00")
    rows = [{"river": name} for name in ("Elbe", "Oder", "Spree")]
    found = store.get_online_features(features=["level:level_m", "level:readings"], entity_rows=rows).to_dict()  # fmt: skip
    direct = built[0].online("2024-03-03T22:00", "Elbe", "Oder", "Spree")
    assert {name: found[name] for name in direct} == direct


# --- statistics ---------------------------------------------------------------------------------


def test_the_values_of_each_published_partition_are_measured(built: tuple[Rivers, Run]) -> None:
    held = measured(built[0].house, built[0].node("level"), 9)
    assert list(held) == list(DAYS)
    level = held[DAYS[1]]["level_m"]
    assert (level.rows, level.nulls, level.minimum, level.maximum) == (16, 0, 8.0, 16.0)


def test_only_the_newest_partitions_are_asked_for(built: tuple[Rivers, Run]) -> None:
    assert list(measured(built[0].house, built[0].node("level"), 2)) == list(DAYS[1:])


def test_what_a_view_streams_is_measured_a_day_at_a_time(tmp_path: Path) -> None:
    world = World.usual()
    domain = new_domain("streams")

    @domain.table(contract=Level, layer="raw")
    def levels(window: Window) -> pl.DataFrame:
        """What the gauges say."""
        return levels_frame(world, window)

    @domain.feature_view(contract=Level, reads=[levels], entities=["river"], ttl="6h")
    def level(window: Window, levels: Table) -> Iterator[pl.DataFrame]:
        """The level of a river, a day at a time."""
        for key in window.partitions:
            yield levels.read(Window.of_days(key)).collect()

    house = lakehouse(tmp_path)
    done = run(domain.assets, house, DAYS[0], DAYS[2])
    assert done.success, done.error
    held = measured(house, nodes_of(domain.assets)["streams/level"], 9)
    assert [one["level_m"].rows for one in held.values()] == [17, 16, 16]
