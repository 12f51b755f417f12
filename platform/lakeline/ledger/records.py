"""The values that go into the ledger and come out of it.

An asset is named ``domain/name``; the one partition of an unpartitioned asset is ``""``. All times are aware UTC.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

ABSENT = ""
"""Version of a partition that does not exist.

Recorded as an input, it makes the first publish of that partition mark its reader.
"""

Status = Literal["pending", "published", "abandoned"]


def place(asset: str, partition: str) -> str:
    """One readable name for a partition of an asset.

    >>> place("flights/departures", "2013-01-01"), place("flights/planes", "")
    ('flights/departures[2013-01-01]', 'flights/planes')
    """
    return f"{asset}[{partition}]" if partition else asset


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """One partition that a build has read.

    Attributes:
        version: Version read; ``ABSENT`` where the partition did not exist.
        snapshot_id: Snapshot of the table that the read was pinned to, if it has snapshots.
        columns: Columns read.
    """

    asset: str
    partition: str
    version: str
    snapshot_id: int | None = None
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """One partition about to be published, with what it was made from.

    Attributes:
        version: Hash of the content, equal for equal rows in any order.
        watermark: Event time up to which the data is complete; None where there is none to tell.
        bytes: Size of the published files, in bytes.
        inputs: What was read. Two entries for one partition and version are stored as one, with the columns of both.
    """

    asset: str
    partition: str
    version: str
    watermark: dt.datetime | None = None
    code_version: str = ""
    run_id: str = ""
    rows: int = 0
    bytes: int = 0
    inputs: tuple[Input, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one batch cost, all its partitions together.

    Attributes:
        cpu_s: Processor time of all threads and children, in seconds.
        peak_rss_bytes: Highest resident memory, in bytes.
        gpu_s: Time during which a GPU was held, in seconds, times the number of GPUs.
        placement: Where it ran, such as ``in_process`` or ``kubernetes``.
    """

    started_ts: dt.datetime
    ended_ts: dt.datetime
    cpu_s: float
    peak_rss_bytes: int
    gpu_s: float = 0.0
    placement: str = "in_process"


@dataclass(frozen=True, kw_only=True, slots=True)
class Current:
    """A partition as it is published now.

    Attributes:
        snapshot_id: Snapshot that holds this content: of its own commit, or the newest before it if nothing was committed.
        marked: Whether an input has another version now than the one it was built from.
        marked_by: One such input, as ``place`` writes it.
    """

    build_id: int
    version: str
    watermark: dt.datetime | None
    code_version: str
    snapshot_id: int | None
    run_id: str
    rows: int
    bytes: int
    started_ts: dt.datetime
    ended_ts: dt.datetime
    marked: bool
    marked_by: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A published partition that is no longer consistent with its inputs, and one input that is the reason."""

    asset: str
    partition: str
    because_asset: str
    because_partition: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Consumer:
    """A published partition (``asset``, ``partition``) and what it read of another (``source_partition``)."""

    asset: str
    partition: str
    source_partition: str
    version: str
    columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildRecord:
    """One build in the history of an asset, whatever became of it.

    Attributes:
        ended_ts: None until it is published.
        wall_s, cpu_s, gpu_s: This partition's even share of the batch, in seconds.
        peak_rss_bytes: Highest memory of the batch, which is not shared out.
        placement: None until it is published; ``recovered`` where a crash took the figures with it.
    """

    build_id: int
    batch: str
    status: Status
    asset: str
    partition: str
    version: str
    watermark: dt.datetime | None
    code_version: str
    snapshot_id: int | None
    run_id: str
    rows: int
    bytes: int
    started_ts: dt.datetime
    ended_ts: dt.datetime | None
    wall_s: float
    cpu_s: float
    gpu_s: float
    peak_rss_bytes: int
    placement: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AssetSummary:
    """One asset in a line.

    Attributes:
        partitions, rows, bytes: Of what is published now.
        watermark: Latest of its partitions; None where no partition has one.
        last_version, last_run_id, last_ended_ts: Of the newest published build.
        cpu_s, gpu_s, wall_s: Sums over every batch ever published, in seconds.
        marked: How many of its partitions are inconsistent.
    """

    asset: str
    partitions: int
    rows: int
    bytes: int
    watermark: dt.datetime | None
    last_version: str
    last_run_id: str
    last_ended_ts: dt.datetime
    cpu_s: float
    gpu_s: float
    wall_s: float
    marked: int
