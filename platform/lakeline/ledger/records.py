"""The values that go into the ledger and come out of it.

An asset is named ``domain/name``; the one partition of an unpartitioned asset is ``""``. All times are aware UTC.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ABSENT = ""
"""Version of a partition that does not exist.

Recorded as an input, it makes the first publish of that partition mark its reader.
"""

Pair = tuple[str, str]
"""An asset and one of its partitions."""

Status = Literal["pending", "published", "abandoned", "queued"]


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


RECOVERED = "recovered"
"""Placement of a batch whose figures a crash took with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What one batch cost, all its partitions together.

    Attributes:
        cpu_s: Processor time of all threads and children, in seconds.
        peak_rss_bytes: Highest resident memory, in bytes.
        gpu_s: Time during which a GPU was held, in seconds, times the number of GPUs.
        gpu_busy: Mean share of that time in which a kernel ran, 0 to 1; None where no driver said.
        peak_gpu_bytes: Most memory in use on its GPUs together, in bytes.
        placement: Where it ran: ``in_process``, ``subprocess`` or ``kubernetes``.
    """

    started_ts: dt.datetime
    ended_ts: dt.datetime
    cpu_s: float
    peak_rss_bytes: int
    gpu_s: float = 0.0
    gpu_busy: float | None = None
    peak_gpu_bytes: int = 0
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
class Used:
    """What the newest builds of an asset used, a batch each.

    Attributes:
        batches: How many were looked at.
        peak_rss_bytes: Most memory of one of them.
        cores: Most processor time of one of them, for each second that it took.
        wall_s: Time that they took at the median, in seconds.
        gpu_s: Time that one of them held GPUs at most, in seconds.
        gpu_busy: Mean share of that time in which a kernel ran; None where no driver said.
        peak_gpu_bytes: Most memory in use on the GPUs of one of them.
        placement: Where the newest ran.
    """

    asset: str
    batches: int
    peak_rss_bytes: int
    cores: float
    wall_s: float
    gpu_s: float
    gpu_busy: float | None
    peak_gpu_bytes: int
    placement: str


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


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceState:
    """What the newest observation of a source said.

    Attributes:
        watermark: Event time up to which the source is complete; None where it tells none. It may go backwards.
        highest: The furthest that the watermark ever was.
        observed_ts: When it was looked at last.
    """

    watermark: dt.datetime | None
    highest: dt.datetime | None
    observed_ts: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Partitions that took another version, came into being or were forgotten, and have not been taken up yet.

    Attributes:
        pairs: Each (asset, partition) once, in the order of its first change.
        seq: Number of the last of these changes; of the last one taken up, where there are none.
    """

    pairs: tuple[Pair, ...]
    seq: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """How far an asset reaches.

    Attributes:
        newest: The present partition with the greatest name; None if there is none.
        watermark: That of its newest partition; of a source, what the last observation said.
        partitions: How many it has at present.
    """

    newest: str | None
    watermark: dt.datetime | None
    partitions: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Attempt:
    """Failed builds of a partition, all from the same inputs and code.

    Attributes:
        key: Stands for those inputs and that code.
        failures: How many runs failed.
        first_ts, last_ts: When the first and the last of them did.
        run_id, error: Of the last one.
    """

    key: str
    failures: int
    first_ts: dt.datetime
    last_ts: dt.datetime
    run_id: str
    error: str


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """The latest state of a named thing, such as a check or an alert, of a partition or a whole asset.

    Attributes:
        partition: ``""`` for the whole asset.
        name: Such as ``check:drift``.
        state: A word, such as ``passed``. Another word is a change of state.
        detail: Figures and texts beside it, all of which JSON can hold.
        since_ts: When ``state`` became what it is; left out of what is written.
    """

    asset: str
    name: str
    state: str
    partition: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)
    since_ts: dt.datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class StateChange:
    """A state that differs from the one before it, which is None for the first."""

    state: State
    before: str | None
