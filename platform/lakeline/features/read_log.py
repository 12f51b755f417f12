"""A log of online reads: what was served to whom, kept in files until the offline path has been asked the same.

One folder a view, one Parquet file a batch of reads, written beside its place and moved there, so that a reader never sees
half of it. Columns: the view's keys and features, and those below.
"""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

READ = "read_ts"
"""When it was read."""
FILLED = "filled_ts"
"""Event time up to which the store was complete then."""
SNAPSHOT = "snapshot_id"
"""Snapshot of the view's table that the store had been filled from, where the reader can tell."""
STATUS = "status"
"""``present``, ``missing`` or ``expired``."""
KEPT = 50
"""Files of a view that are kept, newest first."""


@dataclass(frozen=True, slots=True)
class ReadLog:
    """The logs of some views.

    Attributes:
        folder: Where they are.
    """

    folder: Path

    def append(self, view: str, reads: "pl.DataFrame") -> None:
        """Add reads; those of older files beyond `KEPT` are forgotten."""
        place = self.folder / view
        place.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():020d}-{os.getpid()}"
        reads.write_parquet(place / f"{name}.part")
        (place / f"{name}.part").rename(place / f"{name}.parquet")
        for old in self._files(view)[:-KEPT]:
            old.unlink(missing_ok=True)

    def newest(self, view: str, fillings: int = 2) -> "list[pl.DataFrame]":
        """Reads of the newest fillings of the store, a frame each, oldest first; empty without reads.

        A filling is known by `FILLED` and `SNAPSHOT`. Reads that do not say their snapshot are of the one that was said
        last before them.
        """
        import polars as pl

        files = self._files(view)
        if not files:
            return []
        reads = pl.concat([pl.read_parquet(file) for file in files], how="diagonal")
        if SNAPSHOT not in reads.columns:
            reads = reads.with_columns(pl.lit(None, pl.Int64).alias(SNAPSHOT))
        told = reads.filter(pl.col(FILLED).is_not_null()).with_columns(
            pl.col(SNAPSHOT).forward_fill().over(FILLED)
        )
        return told.partition_by(FILLED, SNAPSHOT, maintain_order=True)[-fillings:]

    def _files(self, view: str) -> list[Path]:
        return sorted((self.folder / view).glob("*.parquet"))
