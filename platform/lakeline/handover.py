"""What a publish leaves to whoever commits for it: its files, written and audited, and what it took for granted.

Several publishes that wait for one table are committed together by the one that gets the lock. The others' handovers
come to it through the ledger, as JSON.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lakeline.lake.stage import StagedFile
from lakeline.ledger import ABSENT, Cost
from lakeline.window import Window

if TYPE_CHECKING:
    from pyiceberg.manifest import DataFile


@dataclass(frozen=True, kw_only=True, slots=True)
class Handover:
    """One publish, as much of it as its commit takes.

    Attributes:
        batch: Id of the publish.
        versions: Content version of every partition it built, also of those whose content is as it was.
        seen: Versions that these had when its work began; absent ones are left out.
        changed: Partitions whose files are replaced.
        staged: Their new files.
        window: Event time that the changed partitions lie in.
        cost: What it spent until now.
    """

    batch: str
    versions: Mapping[str, str]
    seen: Mapping[str, str]
    changed: Sequence[str]
    staged: Sequence[StagedFile]
    window: Window | None
    cost: Cost

    def conflict(self, present: Mapping[str, str]) -> str | None:
        """The first partition that somebody else published meanwhile with other rows, given the present versions."""
        for partition, version in self.versions.items():
            expected = (self.seen.get(partition, ABSENT), version)
            if present.get(partition, ABSENT) not in expected:
                return partition
        return None


def dumps(handover: Handover) -> str:
    """A handover as JSON."""
    window, cost = handover.window, handover.cost
    return json.dumps(
        {
            "batch": handover.batch,
            "versions": dict(handover.versions),
            "seen": dict(handover.seen),
            "changed": list(handover.changed),
            "window": window and [window.start.isoformat(), window.end.isoformat()],
            "cost": {
                "started_ts": cost.started_ts.isoformat(),
                "ended_ts": cost.ended_ts.isoformat(),
                "cpu_s": cost.cpu_s,
                "peak_rss_bytes": cost.peak_rss_bytes,
                "gpu_s": cost.gpu_s,
                "gpu_busy": cost.gpu_busy,
                "peak_gpu_bytes": cost.peak_gpu_bytes,
                "placement": cost.placement,
            },
            "files": [{"of": one.partition, **_file_values(one.file)} for one in handover.staged],
        }
    )


def loads(text: str) -> Handover:
    """The handover that `dumps` wrote."""
    said = json.loads(text)
    window, cost = said["window"], said["cost"]
    moments = {name: dt.datetime.fromisoformat(cost[name]) for name in ("started_ts", "ended_ts")}
    return Handover(
        batch=said["batch"],
        versions=said["versions"],
        seen=said["seen"],
        changed=said["changed"],
        staged=[StagedFile(partition=one["of"], file=_file(one)) for one in said["files"]],
        window=window and _window(*window),
        cost=Cost(**(cost | moments)),
    )


_PLAIN = ("file_path", "record_count", "file_size_in_bytes", "split_offsets")
_COUNTS = ("column_sizes", "value_counts", "null_value_counts", "nan_value_counts")
_BOUNDS = ("lower_bounds", "upper_bounds")


def _window(start: str, end: str) -> Window:
    return Window(start=dt.datetime.fromisoformat(start), end=dt.datetime.fromisoformat(end))


def _file_values(file: "DataFile") -> dict[str, Any]:
    """What a staged Parquet file has in Iceberg's metadata; bounds as hexadecimal text."""
    values: dict[str, Any] = {name: getattr(file, name) for name in (*_PLAIN, *_COUNTS)}
    values |= {
        name: {column: bound.hex() for column, bound in (getattr(file, name) or {}).items()}
        for name in _BOUNDS
    }
    parted = [file.partition[place] for place in range(len(file.partition))]
    return values | {"partition": parted, "spec_id": file.spec_id}


def _file(values: Mapping[str, Any]) -> "DataFile":
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
    from pyiceberg.typedef import Record

    # The argument of `from_args` that is no value of the file would give all of them its type.
    counts: dict[str, Any] = {
        name: {int(column): count for column, count in (values[name] or {}).items()}
        for name in _COUNTS
    }
    bounds: dict[str, Any] = {
        name: {int(column): bytes.fromhex(bound) for column, bound in values[name].items()}
        for name in _BOUNDS
    }
    file = DataFile.from_args(
        content=DataFileContent.DATA,
        file_format=FileFormat.PARQUET,
        partition=Record(*values["partition"]),
        sort_order_id=None,
        equality_ids=None,
        key_metadata=None,
        **{name: values[name] for name in _PLAIN},
        **counts,
        **bounds,
    )
    file.spec_id = values["spec_id"]
    return file
