"""MLflow's SQLite database, made quickly, and MLflow kept quiet."""

import logging
import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lakeline.lake.lock import file_lock

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    # Its own 7 wait four minutes for a server that is not there; these half a minute.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "4",
}


def quiet_mlflow() -> None:
    """No telemetry, no progress bars and no remarks below errors, unless the environment says otherwise; best before MLflow is imported."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    # Where somebody imported MLflow before, it has read another level already.
    logging.getLogger("mlflow").setLevel(os.environ["MLFLOW_LOGGING_LEVEL"])
    alembic = logging.getLogger("alembic")
    if alembic.level == logging.NOTSET:
        alembic.setLevel(logging.WARNING)


def ensure_database(path: Path) -> None:
    """Make MLflow's database at ``path`` unless it is there.

    MLflow replays its whole history of schemas, some 50 migrations that each wait for the disk: 3 to 9 s. Here the same
    migrations run on a draft that does not wait, and only the finished file takes its name: 1 s, and a process that dies
    half-way leaves nothing behind.
    """
    if path.exists():
        return
    with file_lock(path.with_name(f"{path.name}.lock")):
        if path.exists():
            return
        with TemporaryDirectory(dir=path.parent) as scratch:
            draft = Path(scratch) / path.name
            _migrate(draft)
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(path)


def _migrate(draft: Path) -> None:
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine
    from sqlalchemy import event

    engine = create_sqlalchemy_engine(f"sqlite:///{draft}")  # type: ignore[no-untyped-call]

    def hurry(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(engine, "connect", hurry)
    _initialize_tables(engine)  # type: ignore[no-untyped-call]
    engine.dispose()
