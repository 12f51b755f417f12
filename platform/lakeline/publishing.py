"""From a function's rows to published partitions: stage, audit, publish in one commit, record.

Readers see the new rows of every partition of the window at once, or none. The ledger's rows are written before the
commit as ``pending`` and after it as ``published``; a crash in between is repaired from the snapshots, by whoever next
holds the table's lock.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.ledger import Build, Input
from lakeline.meter import Meter
from lakeline.preparing import Preparation, chunks
from lakeline.publish_errors import NoDaysError, WindowMissingError
from lakeline.recording import commit_and_record, mend
from lakeline.window import WHOLE, Window

if TYPE_CHECKING:
    import datetime as dt

    import polars as pl

    from lakeline.contract import Contract
    from lakeline.contract.audit import Violation
    from lakeline.lake import Lake
    from lakeline.ledger import Current, Ledger


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """The table that an asset publishes to.

    Attributes:
        asset: ``domain/name``; the table is ``domain.name``.
        contract: What the rows must be.
        daily: Whether there is a partition a UTC day, or one for all.
        empty: What a partition without rows means: ``fail``, ``warn``, or ``allow``.
        code_version: Of the code that makes its rows; recorded with each build.
    """

    asset: str
    contract: "type[Contract]"
    daily: bool
    empty: str = "allow"
    code_version: str = ""

    @property
    def table(self) -> str:
        """``namespace.table`` in the lake."""
        return self.asset.replace("/", ".", 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """What one partition was made from, and the event time up to which that makes it complete."""

    inputs: tuple[Input, ...] = ()
    watermark: "dt.datetime | None" = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Publication:
    """What a publish did.

    Attributes:
        snapshot_id: The commit, or the snapshot before it where nothing changed; None for a table still empty.
        rows: Rows of each partition, after rejecting.
        versions: Content version of each partition.
        changed: Partitions whose content is new.
        violations: Broken rules that did not fail the audit, over all partitions.
    """

    batch: str
    snapshot_id: int | None
    rows: Mapping[str, int]
    versions: Mapping[str, str]
    changed: tuple[str, ...]
    violations: "tuple[Violation, ...]"


def publish(  # noqa: PLR0913 - what a publish is made of, by keyword
    lake: "Lake",
    ledger: "Ledger",
    target: Target,
    frames: "pl.DataFrame | Iterable[pl.DataFrame]",
    *,
    window: Window | None,
    provenance: Callable[[str], Provenance] = lambda _: Provenance(),
    seen: "Mapping[str, Current] | None" = None,
    run_id: str = "",
    meter: Meter | None = None,
) -> Publication:
    """Publish the rows of a window: all of its partitions, or none.

    Args:
        frames: The rows, or an iterator of frames for windows larger than memory; a day's rows come in one frame.
        window: The daily partitions to build; None for an unpartitioned table.
        provenance: Asked for each partition after the last frame was taken.
        seen: What the ledger held of the partitions when the function began to read; taken now if left out.
        run_id: Who publishes.
        meter: Started when the work for the rows began; its cost is recorded. Started now if left out.

    Raises:
        ContractError: The columns are not those of the contract.
        AuditFailedError: A rule with the action ``fail`` is broken.
        EmptyPartitionError: A day has no rows and may not.
        OutsideWindowError: Rows lie outside the window.
        ConcurrentBuildError: Another run published a partition meanwhile.
        ForeignWriteError: Another engine changed the table.
        TableSetBackError: Another engine took the table back to an older snapshot.
        StorageFullError: There is no room.
        WindowMissingError: The table is daily and ``window`` is None.
        NoDaysError: The table is daily and ``window`` has no days.
    """
    meter = meter or Meter()
    keys = _keys(target, window)
    if seen is None:
        mend(lake, ledger, target.asset, keys)
        seen = ledger.current(target.asset, list(keys))
    work = Preparation(lake=lake, ledger=ledger, target=target, window=window, keys=keys, seen=seen)
    try:
        for frame in chunks(frames, target):
            work.take(frame)
        work.finish()
        builds = [_build(work, key, provenance(key), run_id=run_id) for key in keys]
    except BaseException:
        work.discard()
        raise
    snapshot_id = commit_and_record(lake, ledger, work.change(builds), meter)
    return Publication(
        batch=work.batch,
        snapshot_id=snapshot_id,
        rows=work.rows,
        versions=work.versions,
        changed=work.changed,
        violations=work.violations,
    )


def _keys(target: Target, window: Window | None) -> tuple[str, ...]:
    """The partitions that a window builds."""
    if not target.daily:
        return (WHOLE,)
    if window is None:
        raise WindowMissingError(target.asset)
    if not window.partitions:
        raise NoDaysError(target.asset, window)
    return window.partitions


def _build(work: Preparation, key: str, origin: Provenance, *, run_id: str) -> Build:
    return Build(
        asset=work.target.asset,
        partition=key,
        version=work.versions[key],
        watermark=origin.watermark,
        code_version=work.target.code_version,
        run_id=run_id,
        rows=work.rows[key],
        bytes=work.size_bytes(key),
        inputs=origin.inputs,
    )
