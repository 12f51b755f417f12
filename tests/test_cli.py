"""The command line on a real small state: what it shows, what it builds, and what it says when something is wrong."""

import datetime as dt
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
import dagster as dg
import pyarrow as pa
import pytest
from click.testing import CliRunner
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    InstigatorType,
    SensorInstigatorData,
)

from lakeline.cli import main
from lakeline.cli.demo import replay
from lakeline.cli.serve import ServerEndedError, Servers, stopped_by_signals
from lakeline.cli.status import report
from lakeline.domain.node import nodes
from lakeline.freshness.budget import Budget
from lakeline.freshness.declared import graph_of
from lakeline.freshness.reconciler import Reconciler
from lakeline.freshness.view import View
from lakeline.instance import open_instance
from lakeline.ledger import Build, Cost, State
from lakeline.project import load_project
from resources import build_resources
from resources.settings import PREFIX, Settings

ROOT = Path(__file__).parents[1]
FIRST, LAST = "2013-01-01", "2013-01-03"
NOON = "2013-01-04T12:00:00+00:00"
HOUR = dt.timedelta(hours=1)
NOW = dt.datetime.fromisoformat(NOON)
CHAIN = "departures,weather,departures_clean,weather_clean,origin_backlog"


class Shown:
    """What a command printed, and its exit code."""

    def __init__(self, folder: Path, *arguments: str, at: str | None = None) -> None:
        settings: dict[str, str | None] = {
            name: None for name in os.environ if name.startswith(PREFIX)
        }
        settings |= {f"{PREFIX}STATE": str(folder), f"{PREFIX}REPLAY_START": at}
        runner = CliRunner(env=settings)
        done = runner.invoke(main, ["--project", str(ROOT), *arguments])
        self.code, self.text = done.exit_code, done.output
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception

    def line(self, start: str) -> str:
        """The first line that begins so."""
        return next(line for line in self.text.splitlines() if line.strip().startswith(start))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of the first half of the chain."""
    folder = tmp_path_factory.mktemp("state")
    built = Shown(folder, "backfill", "--from", FIRST, "--to", LAST, "--select", CHAIN)
    assert built.code == 0, built.text
    return folder


@pytest.fixture
def moved(state: Path, tmp_path: Path) -> Path:
    """The same state after a day of departures was published with other content."""
    folder = tmp_path / "state"
    shutil.copytree(state, folder)
    move(folder, "flights/departures", FIRST)
    return folder


def move(folder: Path, asset: str, day: str) -> None:
    """Publish a day of an asset with other content."""
    ledger = build_resources(Settings(state=folder))["lakehouse"].ledger
    current = ledger.current(asset)[day]
    now = current.ended_ts
    build = Build(
        asset=asset,
        partition=day,
        version="f" * 32,
        code_version=current.code_version,
        inputs=ledger.inputs(asset, day),
    )
    ledger.begin("other", [build], now)
    ledger.publish("other", None, Cost(started_ts=now, ended_ts=now, cpu_s=0, peak_rss_bytes=0))


def test_help_needs_none_of_the_heavy_packages():
    code = "import sys, lakeline.cli; print([m for m in ('dagster', 'polars', 'rich', 'sqlalchemy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_outside_a_project_the_way_in_is_told(tmp_path):
    done = CliRunner().invoke(main, ["--project", str(tmp_path), "ls"])
    assert done.exit_code == 1
    assert "is in no lakeline project" in done.output
    assert "--project FOLDER" in done.output


def test_a_project_is_found_from_a_folder_inside_it():
    from lakeline.project import find_place

    place = find_place(ROOT / "assets" / "flights")
    assert (place.root, place.module, place.location) == (ROOT, "definitions", "lakeline")


# --- ls ---------------------------------------------------------------------------------------


def test_ls_shows_built_assets_with_their_days_and_the_others_as_never_built(state):
    shown = Shown(state, "ls")
    line = shown.line("flights/departures ").split()
    assert line[1:4] == ["2013-01-04", "00:00", "3"]
    assert "never built" in shown.line("flights/delay_lightgbm")


def test_compute_shows_what_builds_used_and_what_is_declared(state):
    shown = Shown(state, "compute", "departures", "delay_mlp")
    built = shown.line("flights/departures ").split()
    assert built[1:4] == ["-", "in", "process"]
    assert built[-1].isdigit()
    assert "never built" in shown.line("flights/delay_mlp")
    assert "flights/planes" not in shown.text
    assert "flights/planes" in Shown(state, "compute", "--all").text


def test_ls_takes_a_selection(state):
    lines = Shown(state, "ls", "--select", "group:flights_clean").text.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        "flights/departures_clean",
        "flights/weather_clean",
    ]


def test_ls_counts_what_is_to_be_built_again(moved):
    assert "1 partition to build again" in Shown(moved, "ls").line("flights/departures_clean")


# --- backfill ---------------------------------------------------------------------------------


def test_backfill_takes_missing_references_along(state):
    assert "3,322" in Shown(state, "ls").line("flights/planes")


def test_backfill_again_builds_only_what_changed(state):
    shown = Shown(
        state,
        "backfill",
        "--from",
        FIRST,
        "--to",
        LAST,
        "--select",
        "weather_clean",
        "--if-changed",
    )
    assert shown.code == 0, shown.text
    assert "nothing changed" in shown.text
    assert "planes" not in shown.text


def test_a_failed_backfill_says_which_asset_why_and_what_was_not_tried(state):
    shown = Shown(
        state,
        "backfill",
        "--from",
        "2013-01-09",
        "--to",
        "2013-01-09",
        "--select",
        "origin_backlog,training_set",
    )
    assert shown.code == 1
    assert (
        "flights/origin_backlog: 'flights/origin_backlog' needs 'flights/departures_clean'"
        in shown.text
    )
    assert "Not tried, because what they read failed: flights/training_set." in shown.text
    assert "Traceback" not in shown.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["--from", "2013-13-01", "--to", LAST],
            "--from 2013-13-01 is not a day. Write it as YYYY-MM-DD.",
        ),
        (["--from", LAST, "--to", FIRST], "ends before it begins"),
        (
            ["--from", "2012-12-31", "--to", FIRST],
            "No asset has a day 2012-12-31. Their days are 2013-01-01 to 2014-01-01.",
        ),
        (["--from", FIRST, "--to", LAST, "--select", "wether"], "Did you mean weather"),
        (["--from", FIRST, "--to", LAST, "--select", "group:nothing"], "no asset 'group:nothing'"),
    ],
)
def test_a_backfill_that_cannot_be_is_refused_in_words(state, arguments, said):
    shown = Shown(state, "backfill", *arguments)
    assert shown.code == 1
    assert said in shown.text


# --- status -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def noon(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three days of the chain at noon of the fourth, where no later day is published."""
    folder = tmp_path_factory.mktemp("noon")
    chain = f"{CHAIN},weather_at_origin"
    built = Shown(folder, "backfill", "--from", FIRST, "--to", LAST, "--select", chain, at=NOON)
    assert built.code == 0, built.text
    return folder


@pytest.fixture
def troubled(noon: Path, tmp_path: Path) -> Path:
    """The same with a day that was given up, one that is tried again later, and a source that nobody can read."""
    folder = tmp_path / "state"
    shutil.copytree(noon, folder)
    ledger = build_resources(Settings(state=folder))["lakehouse"].ledger
    view = View(graph_of(nodes()), ledger)
    ledger.forget("flights/weather_clean", [FIRST, LAST])
    for day, times in ((FIRST, Budget().attempts), (LAST, 1)):
        pair = ("flights/weather_clean", day)
        for number in range(times):
            ledger.failed({pair: view.key(pair)}, run_id=f"run{number}", error="disk full", now=NOW)
    ledger.settle_agenda(seq=None, add=[("flights/weather_clean", FIRST)], remove=[], now=NOW)
    said = State(
        asset="flights/weather", name="source", state="unread", detail={"said": "no answer"}
    )
    ledger.set_states([said], NOW)
    return folder


def test_status_tells_watermark_promise_and_consistent_partitions(noon):
    shown = Shown(noon, "status", at=NOON)
    assert shown.code == 0
    line = shown.line("flights/origin_backlog ").split()
    assert line[1:3] == ["2013-01-04", "00:00"]
    assert line[4:] == ["25%", "3", "of", "3", "nothing"]
    assert shown.text.startswith("2013-01-04 12:00 UTC: ")


def test_status_tells_a_broken_promise_with_what_holds_it_back(noon):
    (noon / "replay.json").unlink(missing_ok=True)  # it would go on from where it was left
    shown = Shown(noon, "status")  # by the clock of today
    assert (
        "flights/origin_backlog is complete to 2013-01-04 00:00 and breaks its promise"
        in shown.text
    )
    assert ">999%" in shown.line("flights/origin_backlog ")


def test_status_says_that_nothing_launches_what_is_to_be_built(noon, tmp_path):
    folder = tmp_path / "state"
    shutil.copytree(noon, folder)
    ledger = build_resources(Settings(state=folder))["lakehouse"].ledger
    ledger.forget("flights/weather_at_origin", [LAST])
    shown = Shown(folder, "status", at=NOON)
    assert f"flights/weather_at_origin[{LAST}]: it was never built" in shown.text
    assert (
        "nothing launches them: the sensor has not looked yet. Start lakeline ui with" in shown.text
    )

    with open_instance(folder / "dagster") as instance:
        ticked(instance, dt.datetime.now(dt.UTC))
        assert "nothing launches them" not in Shown(folder, "status", at=NOON).text
        before = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
        ticked(instance, before)
    said = "the sensor has not looked since 2026-11-01 12:00 UTC"
    assert said in Shown(folder, "status", at=NOON).text


def test_status_of_a_project_without_a_sensor_says_what_to_do(noon, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}STATE", str(noon))
    project = load_project(ROOT)
    held = project.definitions
    assert any("the sensor has not looked" in str(part) for part in report(project))
    bare = dg.Definitions(assets=held.assets, resources=held.resources)
    said = [str(part) for part in report(replace(project, definitions=bare))]
    assert any("the project has no sensor. Put lakeline.freshness.sensor" in part for part in said)
    assert not any("has not looked" in part for part in said)


def ticked(instance: dg.DagsterInstance, at: dt.datetime) -> None:
    """Note that the sensor looked, as Dagster's daemon does."""
    data = SensorInstigatorData(last_tick_timestamp=at.timestamp())
    origin = RemoteInstigatorOrigin(
        repository_origin=RemoteRepositoryOrigin(
            code_location_origin=RegisteredCodeLocationOrigin(location_name="lakeline"),
            repository_name="__repository__",
        ),
        instigator_name="reconcile",
    )
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING, data)
    known = instance.get_instigator_state(state.instigator_origin_id, state.selector_id)
    (instance.update_instigator_state if known else instance.add_instigator_state)(state)


def test_a_replay_goes_on_after_its_own_days_not_those_of_another_year(tmp_path, monkeypatch):
    house = build_resources(Settings(state=tmp_path))["lakehouse"]
    for asset, day in (("flights/weather", "2013-07-04"), ("shop/impressions", "2019-11-25")):
        build = Build(asset=asset, partition=day, version="a" * 32, code_version="c", inputs=())
        house.ledger.begin(asset, [build], NOW)
        cost = Cost(started_ts=NOW, ended_ts=NOW, cpu_s=0, peak_rss_bytes=0)
        house.ledger.publish(asset, None, cost)
    monkeypatch.setenv(f"{PREFIX}STATE", str(tmp_path))
    project = load_project(ROOT)
    resources = build_resources(Settings(state=tmp_path))
    here = replace(
        project, definitions=dg.Definitions(project.definitions.assets, resources=resources)
    )
    begins = replay(here, "2013-06-30", speed=60.0)[f"{PREFIX}REPLAY_START"]
    assert begins == "2013-07-05T12:00:00+00:00"


def test_status_counts_what_is_given_up_and_backed_off_and_says_why_once(troubled):
    shown = Shown(troubled, "status", at=NOON)
    line = shown.line("flights/weather_clean ")
    assert "1 of 3" in line
    assert line.rstrip().endswith("1 given up, 1 tried again later")
    attempts = Budget().attempts
    for said in (
        f"flights/weather_clean[{FIRST}]: given up: it failed {attempts} times with the same inputs and code: disk full",
        f"flights/weather_clean[{LAST}]: tried again from 2013-01-04 12:05 on: it failed (1 of {attempts}): disk full",
        "no answer (since 2013-01-04 12:00)",
    ):
        assert said in shown.text
    assert shown.text.count("disk full") == 2


def test_status_shows_the_run_to_come(noon, tmp_path):
    folder = tmp_path / "state"
    shutil.copytree(noon, folder)
    move(folder, "flights/weather", FIRST)
    shown = Shown(folder, "status", at=NOON)
    assert f"flights/weather_clean[{FIRST}]: flights/weather[{FIRST}] has changed" in shown.text
    assert "1 to build" in shown.line("flights/weather_clean ")


def test_status_compares_everything_anew_where_it_is_told_to(noon, tmp_path):
    folder = tmp_path / "state"
    shutil.copytree(noon, folder)
    ledger = build_resources(Settings(state=folder))["lakehouse"].ledger
    ledger.forget("flights/weather_clean", [FIRST])
    ledger.settle_agenda(seq=ledger.changes().seq, add=[], remove=[], now=NOW)
    Reconciler(graph_of(nodes()), ledger).tick(NOW)
    ledger.settle_agenda(seq=None, add=[], remove=ledger.agenda(), now=NOW)
    assert f"weather_clean[{FIRST}]" not in Shown(folder, "status", at=NOON).text
    assert f"weather_clean[{FIRST}]" in Shown(folder, "status", "--verify", at=NOON).text


def test_status_of_an_empty_state_says_that_nothing_is_due_and_makes_no_home(tmp_path):
    shown = Shown(tmp_path / "state", "status", at=NOON)
    assert shown.code == 0
    assert "not due yet" in shown.line("flights/predictions ")
    assert not (tmp_path / "state" / "dagster").exists()


# --- why --------------------------------------------------------------------------------------


def test_why_tells_run_code_inputs_columns_and_that_all_is_still_so(state):
    shown = Shown(state, "why", "origin_backlog", LAST, "--depth", "2")
    for said in (
        "flights/origin_backlog[2013-01-03]",
        "the present one",
        "in snapshot",
        "read flights/departures_clean [2013-01-01 to 2013-01-03] (3 partitions)",
        "dep_delay_min",
        "all still the present versions",
        "it is read from a source, which is as it was",
    ):
        assert said in shown.text


def test_why_without_a_partition_takes_the_newest_and_depth_ends_the_tree(state):
    shown = Shown(state, "why", "flights/origin_backlog", "--depth", "0")
    assert "flights/origin_backlog[2013-01-03]" in shown.text
    assert "read from a source" not in shown.text


def test_why_names_the_input_that_moved_and_the_command_that_mends_it(moved):
    shown = Shown(moved, "why", "departures_clean", FIRST)
    assert "flights/departures[2013-01-01] was built again since, with other content" in shown.text
    assert (
        f"lakeline backfill --from {FIRST} --to {FIRST} --select flights/departures_clean"
        in shown.text
    )


def test_why_of_an_asset_that_was_never_built_says_how_to_build_it(state):
    shown = Shown(state, "why", "predictions")
    assert "flights/predictions was never built" in shown.text


def test_why_tells_what_a_partition_waits_for_down_to_the_cause(noon, tmp_path):
    folder = tmp_path / "state"
    shutil.copytree(noon, folder)
    move(folder, "flights/weather", FIRST)
    ledger = build_resources(Settings(state=folder))["lakehouse"].ledger
    pair = ("flights/weather_clean", FIRST)
    key = View(graph_of(nodes()), ledger).key(pair)
    ledger.failed({pair: key}, run_id="r", error="disk full", now=NOW)
    ledger.settle_agenda(
        seq=None, add=[("flights/weather_at_origin", FIRST)], remove=[], now=NOW - HOUR
    )
    lines = Shown(folder, "why", "weather_at_origin", FIRST, at=NOON).text.splitlines()
    assert lines[1:3] == [
        f"flights/weather_at_origin[{FIRST}]: waits: flights/weather_clean[{FIRST}] may change (since 2013-01-04 11:00)",
        f"└── flights/weather_clean[{FIRST}]: tried again from 2013-01-04 12:05 on: it failed (1 of {Budget().attempts}): disk full",
    ]


def test_why_of_a_day_that_was_given_up_says_so_instead_of_that_it_is_unknown(troubled):
    shown = Shown(troubled, "why", "weather_clean", FIRST, at=NOON)
    assert shown.code == 0
    attempts = Budget().attempts
    assert f"flights/weather_clean[{FIRST}]: given up: it failed {attempts} times" in shown.text
    assert f"Build it with: lakeline backfill --from {FIRST} --to {FIRST}" in shown.text


def test_why_tells_each_partition_once(state):
    shown = Shown(state, "why", "origin_backlog", LAST, "--depth", "3")
    assert shown.text.count(f"flights/departures[{LAST}]\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["departurs"], "There is no asset 'departurs'. Did you mean departures"),
        (
            ["departures", "2014-02-01"],
            "has no partition '2014-02-01' that was built. It has 3, 2013-01-01 to 2013-01-03. "
            "Nearest are 2013-01-02 and 2013-01-03.",
        ),
        (
            ["departures", "2013-13-01"],
            "has no partition '2013-13-01' that was built. It has 3, 2013-01-01 to 2013-01-03.",
        ),
        (
            ["planes", FIRST],
            "'flights/planes' has no partitions, and '2013-01-01' was given. Leave it out.",
        ),
    ],
)
def test_why_of_what_is_not_there_names_what_is_near(state, arguments, said):
    shown = Shown(state, "why", *arguments)
    assert shown.code == 1
    assert said in shown.text


def test_a_selection_that_cannot_be_read_is_one_line(state):
    shown = Shown(state, "ls", "--select", 'key:"flights/weather')
    assert shown.code == 1
    assert shown.text.strip() == (
        "Error: 'key:\"flights/weather' is no selection of assets. Write a name, or what Dagster's pages take: "
        'key:"flights/weather", group:flights_clean+, tag:domain=flights.'
    )


# --- lake -------------------------------------------------------------------------------------


def test_snapshots_and_files_show_what_the_table_has(state):
    assert "added" in Shown(state, "lake", "snapshots", "departures").text
    files = Shown(state, "lake", "files", "flights/departures")
    assert "2013-01-02" in files.text
    assert files.text.splitlines()[-1].startswith("3 files")


def test_a_report_has_no_table_to_show(state):
    shown = Shown(state, "lake", "files", "performance")
    assert shown.code == 1
    assert "'flights/performance' is not a table" in shown.text


def test_maintain_says_what_it_would_do_and_then_does_it(state, tmp_path):
    Shown(tmp_path, "backfill", "--select", "airlines")
    table = build_resources(Settings(state=tmp_path))["lakehouse"].lake.load("flights.airlines")
    stray = Path(table.location().removeprefix("file://")) / "data" / "stray.parquet"
    stray.write_bytes(b"left by a crash")
    os.utime(stray, (0, 0))
    would = Shown(tmp_path, "lake", "maintain", "--dry-run")
    assert "1 file of crashed writers would be removed" in would.text
    assert stray.exists()
    assert (
        "1 file of crashed writers removed" in Shown(tmp_path, "lake", "maintain", "airlines").text
    )
    assert not stray.exists()
    assert "nothing to do" in Shown(tmp_path, "lake", "maintain").text


@pytest.mark.parametrize("way_out", ["rollback", "adopt"])
def test_another_writers_change_is_seen_and_undone_or_kept(tmp_path, way_out):
    Shown(tmp_path, "backfill", "--select", "airlines")
    table = build_resources(Settings(state=tmp_path))["lakehouse"].lake.load("flights.airlines")
    table.append(pa.table({"carrier": ["ZZ"], "name": ["Another"]}))

    sick = Shown(tmp_path, "doctor")
    assert sick.code == 1
    assert f"lakeline lake {way_out} flights/airlines" in sick.text
    assert "another writer's" in Shown(tmp_path, "lake", "snapshots", "airlines").text

    done = Shown(tmp_path, "lake", way_out, "airlines")
    assert done.code == 0, done.text
    assert Shown(tmp_path, "doctor").code == 0
    rows = table.refresh().scan().to_arrow().num_rows
    assert rows == (16 if way_out == "rollback" else 17)


# --- doctor -----------------------------------------------------------------------------------


def test_doctor_finds_a_built_state_in_order(state):
    shown = Shown(state, "doctor")
    assert shown.code == 0, shown.text
    assert "fail" not in shown.text
    for subject in (
        "python",
        "packages",
        "definitions",
        "settings",
        "contracts",
        "state",
        "dagster home",
        "dbt",
        "catalog",
        "ledger",
        "lake",
    ):
        assert shown.line(f"ok   {subject}")


def test_doctor_finds_an_empty_state_in_order_and_leaves_it_empty(tmp_path):
    folder = tmp_path / "state"
    assert Shown(folder, "doctor").code == 0
    assert not folder.exists()


def test_doctor_warns_of_partitions_to_build_again(moved):
    shown = Shown(moved, "doctor")
    assert shown.code == 0
    assert "built from versions that have changed since" in shown.line("warn ledger")


def test_doctor_fails_where_dagster_refuses_the_definitions(tmp_path, monkeypatch):
    module = """
import dagster as dg
from resources import build_resources, load_settings

@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["a"]))
def letters(): ...

@dg.asset(partitions_def=dg.StaticPartitionsDefinition(["1"]))
def digits(): ...

defs = dg.Definitions(
    [letters, digits],
    jobs=[dg.define_asset_job("both")],
    resources=build_resources(load_settings()),
)
"""
    (tmp_path / "refused_by_dagster.py").write_text(module)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dg.project]\ncode_location_target_module = "refused_by_dagster"\n'
    )
    monkeypatch.setenv(f"{PREFIX}STATE", str(tmp_path / "state"))
    done = CliRunner().invoke(main, ["--project", str(tmp_path), "doctor"])
    assert done.exit_code == 1
    assert "are refused by Dagster" in done.output
    assert "both" in done.output


def test_doctor_fails_where_the_catalog_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv(f"{PREFIX}CATALOG_URI", "postgresql://me:secret@127.0.0.1:1/lake")
    done = CliRunner(env={f"{PREFIX}STATE": str(tmp_path)}).invoke(
        main, ["--project", str(ROOT), "doctor"]
    )
    assert done.exit_code == 1
    assert "does not answer" in done.output
    assert "secret" not in done.output


@pytest.mark.parametrize("below", ["", "below"])
def test_doctor_fails_where_the_state_is_a_file(tmp_path, below):
    file = tmp_path / "file"
    file.write_text("")
    file.chmod(0o755)
    shown = Shown(file / below, "doctor")
    assert shown.code == 1
    assert shown.line("fail state").endswith(f"cannot be made: {file} is no folder")


def test_doctor_fails_where_the_data_files_are_gone(tmp_path):
    Shown(tmp_path, "backfill", "--select", "airlines,airports")
    warehouse = tmp_path / "lake" / "warehouse"
    (warehouse / "flights" / "airlines").rename(tmp_path / "airlines")
    # Another process: this one knows the table's metadata.
    command = [sys.executable, "-m", "lakeline.cli", "--project", str(ROOT), "doctor"]
    env = {**os.environ, f"{PREFIX}STATE": str(tmp_path)}
    one_gone = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    assert one_gone.returncode == 1
    assert "flights/airlines cannot be read: " in one_gone.stdout
    assert "1 table as the ledger knows them" in one_gone.stdout

    warehouse.rename(tmp_path / "elsewhere")
    all_gone = Shown(tmp_path, "doctor")
    assert all_gone.code == 1
    said = f"the folder {warehouse} is gone, and the ledger knows 2 tables in it"
    assert all_gone.line("fail lake").endswith(said)


def test_doctor_fails_where_a_contract_cannot_be_audited(tmp_path, monkeypatch):
    module = """
import dagster as dg
from lakeline.contract import Contract, column
from lakeline.domain import Daily, Domain
from resources import build_resources, load_settings

class Name(Contract):
    "One row a name."
    name: str = column("Name", matches="[a-z]+(?=b)")

@Domain("names", owner="team:names", partitions=Daily("2024-01-01")).table(contract=Name, daily=False)
def all_names(): ...

defs = dg.Definitions([all_names], resources=build_resources(load_settings()))
"""
    (tmp_path / "badly_patterned.py").write_text(module)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.dg.project]\ncode_location_target_module = "badly_patterned"\n'
    )
    monkeypatch.setenv(f"{PREFIX}STATE", str(tmp_path / "state"))
    done = CliRunner().invoke(main, ["--project", str(tmp_path), "doctor"])
    assert done.exit_code == 1
    assert "Name cannot be audited" in done.output
    assert "column 'name' has matches='[a-z]+(?=b)', which Polars cannot match" in done.output


def test_doctor_fails_where_the_online_store_does_not_answer(state):
    settings = {f"{PREFIX}STATE": str(state), f"{PREFIX}ONLINE_STORE": "redis://me:secret@127.0.0.1:1/0"}  # fmt: skip
    done = CliRunner(env=settings).invoke(main, ["--project", str(ROOT), "doctor"])
    assert done.exit_code == 1
    assert "does not answer" in done.output
    assert "secret" not in done.output


def test_features_are_listed_with_who_uses_them(state):
    shown = Shown(state, "features")
    assert "flights/training_set, flights/predictions" in shown.line("flights/origin_backlog")
    assert "of the request" in shown.line("schedule_parts")


def test_a_view_is_shown_with_what_its_values_look_like(state):
    shown = Shown(state, "features", "show", "origin_backlog")
    assert shown.code == 0, shown.text
    assert "Flights that left in the 3 h before" in shown.line("departures ")
    assert "%" in shown.line("mean_dep_delay_min")


def test_a_view_that_is_not_there_is_named_with_the_nearest(state):
    shown = Shown(state, "features", "show", "origin_backlogs")
    assert "There is no asset 'origin_backlogs'. Did you mean" in shown.text


def test_feast_reads_the_repository_that_is_written(state):

    (folder,) = re.findall(
        r"flights: feast --chdir (\S+)", Shown(state, "features", "repository").text
    )
    command = [
        str(Path(sys.executable).parent / "feast"),
        "--chdir",
        folder,
        "plan",
        "--skip-source-validation",
    ]
    env = {**os.environ, f"{PREFIX}STATE": str(state)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, check=False, env=env
    )
    assert done.returncode == 0, done.stderr
    assert "Created feature view origin_backlog" in done.stdout
    assert "Created feature service delay_lightgbm" in done.stdout


def test_a_setting_that_is_none_is_one_line(tmp_path):
    done = CliRunner(env={f"{PREFIX}STAT": "x"}).invoke(main, ["--project", str(ROOT), "ls"])
    assert done.exit_code == 1
    assert done.output.startswith(
        "Error: Unknown setting LAKELINE_STAT. Did you mean LAKELINE_STATE?"
    )


# --- dbt --------------------------------------------------------------------------------------


def test_the_sources_of_dbt_are_what_the_contracts_say(state):
    assert Shown(state, "ls").code == 0
    from lakeline.cli.sources import stale_sources

    assert stale_sources() == []


def test_dbt_parse_makes_the_manifest(state):
    before = (ROOT / "dbt/models/flights/sources.yml").read_text()
    shown = Shown(state, "dbt", "parse")
    assert shown.code == 0, shown.text
    assert "manifest.json" in shown.text
    assert (ROOT / "dbt/models/flights/sources.yml").read_text() == before
    assert Shown(state, "ls").code == 0


# --- demo -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_demo_ends_with_the_model_the_findings_and_the_reports(tmp_path):
    shown = Shown(tmp_path, "demo", "--no-ui", "--from", FIRST, "--to", "2013-02-12")
    assert shown.code == 0, shown.text
    assert "never built" not in shown.text
    assert "baseline: schedule" in shown.text
    assert "known_destination" in shown.text
    assert "http://127.0.0.1:3001/flights/feature_drift.html" in shown.text
    assert Shown(tmp_path, "doctor").code == 0

    again = Shown(tmp_path, "demo", "--no-ui", "--from", FIRST, "--to", "2013-02-12")
    assert "nothing changed" in again.line("✓ flights/departures_clean")
    for kept in ("baseline: schedule", "known_destination", "flights/performance.html"):
        assert kept in again.text


# --- servers ----------------------------------------------------------------------------------


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_port_that_is_taken_is_named(state, taken):
    shown = Shown(state, "ui", "--port", str(taken))
    assert shown.code == 1
    assert f"Port {taken} for the Dagster UI is taken by another process." in shown.text


def test_a_server_that_ends_by_itself_is_told_with_its_log(tmp_path):
    servers = Servers(tmp_path)
    broken = [sys.executable, "-c", "print('why'); raise SystemExit(3)"]
    with stopped_by_signals(servers):
        servers.start("broken", broken, cwd=tmp_path, environment={})
        with pytest.raises(ServerEndedError, match="The broken ended with exit code 3"):
            servers.wait()
    assert (tmp_path / "broken.log").read_text() == "why\n"


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_servers_and_what_they_started(tmp_path, kind):
    # A shell that leaves a child behind, as a webserver leaves its code server.
    pids = tmp_path / "pids"
    command = ["sh", "-c", f"sleep 600 & echo $! > {pids}; wait"]
    servers = Servers(tmp_path)
    with stopped_by_signals(servers):
        servers.start("shell", command, cwd=tmp_path, environment={})
        deadline = time.monotonic() + 20
        while not (pids.exists() and pids.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(os.getpid(), kind)
        servers.wait()
    left = int(pids.read_text())
    assert (
        not Path(f"/proc/{left}").exists()
        or "Z" in Path(f"/proc/{left}/stat").read_text().split()[2]
    )


def test_errors_are_clicks_so_that_no_traceback_is_shown(state):
    done = CliRunner(env={f"{PREFIX}STATE": str(state)}).invoke(
        main, ["--project", str(ROOT), "why", "nothing"], standalone_mode=False
    )
    assert isinstance(done.exception, click.ClickException)
