"""What each column of a data file is written as, and that any value survives it."""

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from lakeline.contract import Contract, Int32, column
from lakeline.lake import Lake
from lakeline.lake.parquet import NUMBER_REPEATS, SAMPLE_ROWS
from lakeline.lake.read import scan_polars
from lakeline.ledger import Ledger
from lakeline.publishing import Target, publish

ROWS = 2 * SAMPLE_ROWS
LEAST, MOST = -(2**63), 2**63 - 1


class Reading(Contract, version="1.0"):
    """One row a reading of a meter."""

    at_ts: dt.datetime = column("When")
    meter: str = column("Which meter")
    serial: str = column("Number of the reading, as text")
    watts: int | None = column("Power")
    status: Int32 = column("How it went")
    degrees: float | None = column("Temperature")
    on_date: dt.date | None = column("Date on the meter")


def readings(**columns: Any) -> pl.DataFrame:
    number = pl.int_range(ROWS)
    rows = pl.select(
        at_ts=(number * 977_777).cast(pl.Datetime("us", "UTC")),
        meter=pl.format("meter-{}", number % 9),
        serial=pl.format("{}", number * 7919),
        watts=number * number,
        status=(200 + number % 3).cast(pl.Int32),
        degrees=number.sqrt(),
        on_date=pl.lit(None, dtype=pl.Date),
    )
    return rows.with_columns(**columns)


def published(folder: Path, frame: pl.DataFrame) -> tuple[Any, pl.DataFrame]:
    """The footer of the file that a frame became, and the frame as it is read again."""
    lake, target = (
        Lake.in_folder(folder),
        Target(asset="grid/readings", contract=Reading, daily=False),
    )
    publish(lake, Ledger(f"sqlite:///{folder}/ledger.db"), target, frame, window=None)
    table = lake.load(target.table)
    (task,) = table.scan().plan_files()
    footer = pq.ParquetFile(task.file.file_path.removeprefix("file://")).metadata
    return footer, scan_polars(table).collect()


def written(footer: Any) -> dict[str, tuple[set[str], str]]:
    """Encodings and codec of each column."""
    group = footer.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    return {one.path_in_schema: (set(one.encodings), one.compression) for one in columns}


def test_columns_are_written_by_what_they_hold(tmp_path: Path):
    footer, found = published(tmp_path, readings())
    columns = written(footer)
    for name in ("at_ts", "watts"):
        assert "DELTA_BINARY_PACKED" in columns[name][0]
        assert columns[name][1] == "UNCOMPRESSED"
    for name in ("meter", "status"):
        assert "RLE_DICTIONARY" in columns[name][0]
        assert columns[name][1] == "LZ4"
    for name in ("serial", "degrees"):
        assert not {"RLE_DICTIONARY", "DELTA_BINARY_PACKED"} & columns[name][0]
        assert columns[name][1] == "LZ4"
    assert_frame_equal(found, readings())


def test_a_file_carries_field_ids_and_says_which_columns_hold_nulls(tmp_path: Path):
    footer, _ = published(tmp_path, readings(degrees=pl.lit(None, dtype=pl.Float64)))
    schema = footer.schema.to_arrow_schema()
    assert [field.metadata[b"PARQUET:field_id"] for field in schema] == [
        str(number).encode() for number in range(1, len(schema) + 1)
    ]
    assert [field.name for field in schema if field.nullable] == ["degrees", "on_date"]
    assert b"ARROW:schema" not in (footer.metadata or {})


@pytest.mark.parametrize("values", [[LEAST, MOST], [MOST, LEAST, None], [0], [None], [-1, 1]])
def test_whole_numbers_survive_at_the_ends_of_their_range(tmp_path: Path, values: list[int | None]):
    repeated = pl.Series((values * ROWS)[:ROWS], dtype=pl.Int64)
    distinct = pl.int_range(ROWS) - ROWS // 2
    watts = (
        pl.when(pl.int_range(ROWS) % (NUMBER_REPEATS // 2) > 0).then(distinct).otherwise(repeated)
    )
    frame = readings(watts=watts)
    assert_frame_equal(published(tmp_path, frame)[1], frame)


def test_times_before_1970_and_one_row_survive(tmp_path: Path):
    frame = (
        readings()
        .head(1)
        .with_columns(
            at_ts=pl.lit(dt.datetime(1850, 1, 1, 0, 0, 0, 1, tzinfo=dt.UTC)),
            on_date=pl.lit(dt.date(1, 1, 1)),
        )
    )
    assert_frame_equal(
        published(tmp_path, frame)[1], frame.cast({"at_ts": pl.Datetime("us", "UTC")})
    )
