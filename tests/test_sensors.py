"""The replay sensor asks for the days that were published and not built, with the two days before them, once."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets import flights
from lakeline.domain import load_domain
from lakeline.domain.node import node_of
from lakeline.ledger import Build, Cost
from lakeline.resource import Lakehouse
from resources import build_resources
from resources.settings import Settings
from sensors.replay import CAUSE, replay_sensor
from tests.flights_state import require_manifest

START = "2013-02-01"
BUILT = ("2013-01-29", "2013-01-30", "2013-01-31")
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


@pytest.fixture(scope="module")
def assets() -> Sequence[dg.AssetsDefinition]:
    require_manifest()
    return load_domain(flights).assets


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as found:
        yield found


def replaying(folder: Path, shown: str, start: str = START) -> dict[str, Any]:
    """Resources whose replay stands at noon of ``shown``, when the day before it is published."""
    settings = Settings(state=folder, replay_start=f"{start}T00:00:00+00:00", replay_speed=0)
    anchor = {"wall_s": 0, "replay": f"{shown}T12:00:00+00:00", "speed": 0}
    (folder / "replay.json").write_text(json.dumps(anchor))
    return build_resources(settings)


def note_built(
    house: Lakehouse, assets: Sequence[dg.AssetsDefinition], days: Sequence[str]
) -> None:
    """Put days of every daily asset into the ledger, without any data."""
    cost = Cost(started_ts=NOW, ended_ts=NOW, cpu_s=0, peak_rss_bytes=0)
    for node in (node for node in map(node_of, assets) if node.daily):
        batch = f"{node.asset} {days[0]}"
        builds = [Build(asset=node.asset, partition=day, version="1") for day in days]
        house.ledger.begin(batch, builds, NOW)
        house.ledger.publish(batch, None, cost)


def tick(
    assets: Sequence[dg.AssetsDefinition], given: dict[str, Any], instance: dg.DagsterInstance
) -> dg.SensorResult:
    needed = {key: given[key] for key in ("lakehouse", "archive")}
    context = dg.build_sensor_context(instance=instance, resources=needed)
    found = replay_sensor(assets, is_replaying=True)(context)
    assert isinstance(found, dg.SensorResult)
    return found


def ranges(result: dg.SensorResult) -> list[tuple[str, str]]:
    return [(one.tags[RANGE[0]], one.tags[RANGE[1]]) for one in result.run_requests or ()]


def test_a_published_day_is_asked_for_with_the_two_days_before_it(assets, instance, tmp_path):
    given = replaying(tmp_path, "2013-02-02")
    note_built(given["lakehouse"], assets, BUILT)
    assert ranges(tick(assets, given, instance)) == [("2013-01-30", "2013-02-01")]


def test_days_that_came_meanwhile_are_one_range(assets, instance, tmp_path):
    given = replaying(tmp_path, "2013-02-05")
    note_built(given["lakehouse"], assets, BUILT)
    assert ranges(tick(assets, given, instance)) == [("2013-01-30", "2013-02-04")]


def test_nothing_is_asked_for_before_the_next_day_is_published(assets, instance, tmp_path):
    given = replaying(tmp_path, "2013-02-01")
    note_built(given["lakehouse"], assets, BUILT)
    result = tick(assets, given, instance)
    assert ranges(result) == []
    assert "Every day before 2013-02-01 is built" in str(result.skip_reason)


def test_nothing_is_asked_for_twice(assets, instance, tmp_path):
    given = replaying(tmp_path, "2013-02-02")
    note_built(given["lakehouse"], assets, BUILT)
    first, again = (tick(assets, given, instance).run_requests or () for _ in range(2))
    assert [one.run_key for one in first] == [one.run_key for one in again]
    note_built(given["lakehouse"], assets, ["2013-02-01"])
    assert ranges(tick(assets, given, instance)) == []


def test_a_day_that_one_asset_lacks_is_asked_for_again(assets, instance, tmp_path):
    given = replaying(tmp_path, "2013-02-03")
    note_built(given["lakehouse"], assets, [*BUILT, "2013-02-01", "2013-02-02"])
    given["lakehouse"].ledger.forget("flights/origin_backlog", ["2013-02-01"])
    assert ranges(tick(assets, given, instance)) == [("2013-01-30", "2013-02-01")]


def test_a_run_under_way_is_waited_for(assets, instance, tmp_path):
    given = replaying(tmp_path, "2013-02-02")
    note_built(given["lakehouse"], assets, BUILT)
    run = instance.create_run_for_job(
        dg.Definitions(jobs=[dg.GraphDefinition(name="any").to_job()]).resolve_job_def("any"),
        tags={CAUSE: "replay"},
        status=dg.DagsterRunStatus.STARTED,
    )
    result = tick(assets, given, instance)
    assert ranges(result) == []
    assert run.run_id in str(result.skip_reason)


def test_the_days_that_the_assets_have_are_the_end(assets, instance, tmp_path):
    given = replaying(tmp_path, "2014-03-01", start="2014-01-01")
    note_built(given["lakehouse"], assets, ["2013-12-30", "2013-12-31"])
    assert ranges(tick(assets, given, instance)) == [("2013-12-30", "2014-01-01")]


def test_the_chain_and_the_reports_are_asked_for_and_no_model(assets, instance, tmp_path):
    given = replaying(tmp_path, "2013-02-02")
    note_built(given["lakehouse"], assets, BUILT)
    (request,) = tick(assets, given, instance).run_requests or ()
    names = {key.path[-1] for key in request.asset_selection or ()}
    assert {"departures", "weather_clean", "training_set", "predictions", "performance"} <= names
    assert not {"delay_lightgbm", "planes", "airports", "airlines"} & names


def test_without_a_replay_the_sensor_is_off_and_says_why(assets, instance, tmp_path):
    assert (
        replay_sensor(assets, is_replaying=False).default_status is dg.DefaultSensorStatus.STOPPED
    )
    assert replay_sensor(assets, is_replaying=True).default_status is dg.DefaultSensorStatus.RUNNING
    result = tick(assets, build_resources(Settings(state=tmp_path)), instance)
    assert "No replay is configured" in str(result.skip_reason)
