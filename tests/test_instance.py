"""The home folder of Dagster: written once, kept as edited, and following a move."""

import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from lakeline.eventlog import BATCH_SIZE, BATCH_SIZE_ENV
from lakeline.instance import CONFIG_FILE, dagster_home, open_instance


@pytest.fixture(autouse=True)
def _no_batch_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BATCH_SIZE_ENV, "")  # so that it is put back at the end
    monkeypatch.delenv(BATCH_SIZE_ENV)


def config(home: Path) -> Any:
    return yaml.safe_load((home / CONFIG_FILE).read_text())


def test_a_home_is_made_with_its_parents_and_opens(tmp_path: Path) -> None:
    home = tmp_path / "state" / "dagster"
    with open_instance(home) as instance:
        assert Path(instance.root_directory) == home
        assert instance.run_retries_max_retries == 2
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
    assert (home / "history" / "runs" / "index.db").exists()


def test_a_second_call_changes_nothing(tmp_path: Path) -> None:
    dagster_home(tmp_path)
    before = (tmp_path / CONFIG_FILE).stat().st_mtime_ns
    assert dagster_home(tmp_path) == tmp_path
    assert (tmp_path / CONFIG_FILE).stat().st_mtime_ns == before
    assert [file.name for file in tmp_path.iterdir()] == [CONFIG_FILE]


def test_edits_last(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text("telemetry: {enabled: true}\n")
    dagster_home(tmp_path)
    assert config(tmp_path) == {"telemetry": {"enabled": True}}


def test_an_empty_config_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text("")
    dagster_home(tmp_path)
    assert (tmp_path / CONFIG_FILE).read_text() == ""


def test_the_event_log_follows_a_folder_that_was_moved(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    with open_instance(old) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization("raw"))
    old.rename(new)
    with open_instance(new) as instance:
        assert instance.get_latest_materialization_event(dg.AssetKey("raw")) is not None
    assert not old.exists()
    assert config(new)["run_retries"] == {
        "enabled": True,
        "max_retries": 2,
        "retry_on_asset_or_op_failure": False,
    }


def test_a_relative_folder_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert dagster_home(Path("state")) == tmp_path / "state"


def test_opening_turns_on_batches_of_events(tmp_path: Path) -> None:
    with open_instance(tmp_path):
        assert os.environ[BATCH_SIZE_ENV] == str(BATCH_SIZE)


def test_a_batch_size_of_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BATCH_SIZE_ENV, "0")
    with open_instance(tmp_path):
        assert os.environ[BATCH_SIZE_ENV] == "0"
