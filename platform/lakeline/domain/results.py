"""What a publish did, as Dagster's checks and metadata show it."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.domain.outcome import Check, Rows
from lakeline.errors import AuditError

if TYPE_CHECKING:
    from lakeline.contract.audit import Violation
    from lakeline.ledger import Current
    from lakeline.publishing import Publication

ACTIONS = {
    "fail": "stopped the run",
    "reject": "moved to quarantine",
    "blank": "value removed, row kept in quarantine",
    "warn": "published as it is",
}


def contract_check(done: "Publication") -> dg.AssetCheckResult:
    """Passed when every rule held; a warning that lists the rules that were broken and what became of the rows."""
    return dg.AssetCheckResult(
        check_name="contract",
        passed=not done.violations,
        severity=dg.AssetCheckSeverity.WARN,
        description="; ".join(_sentence(one) for one in done.violations) or None,
        metadata=_violations(done.violations),
    )


def failed_contract_check(error: AuditError) -> dg.AssetCheckResult:
    """The rules that stopped a run, each with its column, count and sample."""
    return dg.AssetCheckResult(
        check_name="contract",
        passed=False,
        severity=dg.AssetCheckSeverity.ERROR,
        description=str(error),
        metadata=_violations(error.violations),
    )


def merged(parts: "Sequence[Publication]", versions: Mapping[str, str]) -> "Publication":
    """Several publishes of one run as one; ``versions`` are those of partitions that were not built."""
    return replace(
        parts[-1],
        rows={key: rows for one in parts for key, rows in one.rows.items()},
        versions={**versions, **{key: v for one in parts for key, v in one.versions.items()}},
        changed=tuple(key for one in parts for key in one.changed),
        violations=tuple(one for part in parts for one in part.violations),
    )


def merged_checks(parts: Sequence[Sequence[Check]]) -> list[Check]:
    """The checks of several stretches of one run, each once: passed where it passed everywhere, else as it failed first."""
    found: dict[str, Check] = {}
    for check in (check for checks in parts for check in checks):
        if check.name not in found or (found[check.name].passed and not check.passed):
            found[check.name] = check
    return list(found.values())


def table_metadata(
    done: "Publication", rows: Rows, keys: Sequence[str], *, watermark: dt.datetime | None
) -> dg.MaterializeResult[None]:
    """The materialization of every partition of the run."""
    found: dict[str, Any] = {
        "partitions_changed": len(done.changed),
        "partitions": len(keys),
        **rows.metadata,
    }
    if len(keys) == 1:
        found["dagster/row_count"] = done.rows[keys[0]]
    if done.snapshot_id is not None:
        found["snapshot_id"] = str(done.snapshot_id)
    if watermark is not None:
        found["watermark"] = dg.MetadataValue.timestamp(watermark)
    return dg.MaterializeResult(
        value=None, metadata=found, data_version=_data_version(done.versions, keys)
    )


@dataclass(frozen=True, slots=True)
class Skipped:
    """Word from a process without Dagster's history that these partitions are as they should be."""

    keys: tuple[str, ...]


def skipped(
    context: dg.AssetExecutionContext, keys: Sequence[str], current: "Mapping[str, Current]"
) -> Iterator[Any]:
    """What a run says of partitions that it found as they should be: what was said of them last, and their versions."""
    if not hasattr(context, "instance"):
        yield Skipped(tuple(keys))
        return
    yield from (_repeated(context, spec.key) for spec in context.assets_def.check_specs)
    versions = {key: one.version for key, one in current.items()}
    metadata: dict[str, Any] = {
        **_last_metadata(context),
        "partitions_changed": 0,
        "partitions": len(keys),
        "skipped": True,
    }
    if len(keys) == 1 and keys[0] in current:
        metadata["dagster/row_count"] = current[keys[0]].rows
    yield dg.MaterializeResult(
        value=None, metadata=metadata, data_version=_data_version(versions, keys)
    )


def _last_metadata(context: dg.AssetExecutionContext) -> Mapping[str, Any]:
    """What the newest materialization shows: metrics, lineage, the link to a report."""
    event = context.instance.get_latest_materialization_event(context.asset_key)
    found = event.asset_materialization if event is not None else None
    return found.metadata if found is not None else {}


def _repeated(context: dg.AssetExecutionContext, key: dg.AssetCheckKey) -> dg.AssetCheckResult:
    """The last result again: a skipped run found nothing out."""
    from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

    ended = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
    log = context.instance.event_log_storage
    last = log.get_asset_check_execution_history(key, limit=1, status=ended)
    event = last[0].event.dagster_event if last and last[0].event else None
    if event is None:
        return dg.AssetCheckResult(
            check_name=key.name, passed=True, description="Nothing changed since the last build."
        )
    said = event.asset_check_evaluation_data
    return dg.AssetCheckResult(
        check_name=key.name,
        passed=said.passed,
        severity=said.severity,
        description=said.description,
        metadata=said.metadata,
    )


def _data_version(versions: Mapping[str, str], keys: Sequence[str]) -> dg.DataVersion:
    """The content version; for a run over many partitions Dagster takes one for all, so a hash over theirs."""
    if len(keys) == 1:
        return dg.DataVersion(versions[keys[0]])
    return dg.DataVersion(
        hashlib.sha256("".join(versions[key] for key in keys).encode()).hexdigest()[:32]
    )


def _sentence(one: "Violation") -> str:
    return f"{one.rule}: {one.count} ({ACTIONS[one.action]})"


def _violations(violations: "Sequence[Violation]") -> dict[str, Any]:
    rows = sum(one.count for one in violations)
    if not violations:
        return {"rows_flagged": rows}
    records = [
        dg.TableRecord(
            {
                "rule": one.rule,
                "column": one.column or "(table)",
                "rows": one.count,
                "action": ACTIONS[one.action],
                "sample": " | ".join(one.sample),
            }
        )
        for one in violations
    ]
    return {"rows_flagged": rows, "rules": dg.MetadataValue.table(records)}
