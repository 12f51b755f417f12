"""The folder where Dagster keeps its runs and events on one machine, and the instance that lives in it."""

import os
from pathlib import Path
from typing import Any

import yaml
from dagster import DagsterInstance

CONFIG_FILE = "dagster.yaml"
EVENT_LOG = {"module": "lakeline.eventlog", "class": "PooledSqliteEventLogStorage"}


def dagster_home(folder: Path) -> Path:
    """The absolute folder with a ``dagster.yaml`` in it: what ``DAGSTER_HOME`` is to be.

    Edits of a ``dagster.yaml`` that is there last, all but one: the path of lakeline's event log
    follows a folder that was moved or copied, or Dagster would go on writing to the old place.
    """
    home = folder.absolute()
    file = home / CONFIG_FILE
    config = yaml.safe_load(file.read_text()) or {} if file.exists() else _config(home)
    log = config.get("event_log_storage", {})
    is_elsewhere = (
        log.get("class") == EVENT_LOG["class"]
        and log["config"]["base_dir"] != _place(home)["base_dir"]
    )
    if is_elsewhere:
        log["config"].update(_place(home))
    if is_elsewhere or not file.exists():
        _write(file, yaml.safe_dump(config, sort_keys=False))
    return home


def open_instance(folder: Path) -> DagsterInstance:
    """Dagster's instance in the folder, to be used in a ``with`` or ended by ``dispose``."""
    return DagsterInstance.from_config(str(dagster_home(folder)))


def _place(home: Path) -> dict[str, str]:
    # Where Dagster's own SQLite storage keeps events, so that a home made without lakeline goes on.
    return {"base_dir": str(home / "history" / "runs")}


def _write(file: Path, text: str) -> None:
    # In one step: another process may be reading.
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(f".{os.getpid()}")
    part.write_text(text)
    part.replace(file)


def _config(home: Path) -> dict[str, Any]:
    return {
        "telemetry": {"enabled": False},
        "nux": {"enabled": False},  # the window about Dagster's community before anything of the UI
        "python_logs": {"python_log_level": "INFO"},  # the default, DEBUG, floods the event log
        "event_log_storage": {**EVENT_LOG, "config": _place(home)},
        "concurrency": {
            "runs": {"max_concurrent_runs": 2},
            "pools": {"granularity": "op", "default_limit": 1},
        },
        # A run whose process died; what an asset raised is tried again by the asset's own retries, or by nobody.
        "run_retries": {
            "enabled": True,
            "max_retries": 2,
            "retry_on_asset_or_op_failure": False,
        },
        "run_monitoring": {
            "enabled": True,
            "poll_interval_seconds": 30,
            "start_timeout_seconds": 300,
        },
    }
