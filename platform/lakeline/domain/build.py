"""One run of a table asset: open what it reads, call the function, publish, and tell Dagster."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import dagster as dg

from lakeline.domain.handles import Table, open_table
from lakeline.domain.model_handle import ModelHandle, open_model
from lakeline.domain.node import Node
from lakeline.domain.outcome import Check, Rows, as_rows, frames_of, require_checks
from lakeline.domain.results import contract_check, failed_contract_check, skipped, table_metadata
from lakeline.errors import AuditError, DomainError, LakelineError
from lakeline.lake.partitions import WHOLE
from lakeline.window import Window

if TYPE_CHECKING:
    from lakeline.ledger import Current, Ledger
    from lakeline.publishing import Provenance
    from lakeline.resource import Lakehouse

IF_CHANGED = "lakeline/if_changed"
"""Run tag: partitions whose inputs and code are as recorded are not built again."""

Handle = Table | ModelHandle


class CheckFailedError(DomainError):
    """A check that a function ran on its own rows failed, and is declared to stop the run."""

    def __init__(self, asset: str, checks: Sequence[Check]) -> None:
        said = "; ".join(
            f"{check.name} ({check.description})" if check.description else check.name
            for check in checks
        )
        super().__init__(
            f"'{asset}' failed {said}. Nothing was published and the table is as it was."
        )


@runtime_checkable
class Source(Protocol):
    """Where a raw table comes from; given to its function after the window."""

    def published_until(self) -> dt.datetime:
        """Event time up to which the source is complete at present, aware UTC."""
        ...


def build_table(context: dg.AssetExecutionContext, node: Node) -> Iterator[Any]:
    """Run a table asset for the partitions of the run."""
    with as_failure(context):
        yield from _build_table(context, node)


def _build_table(context: dg.AssetExecutionContext, node: Node) -> Iterator[Any]:
    from lakeline.publishing import publish
    from lakeline.recording import mend

    house: Lakehouse = context.resources.lakehouse
    window = window_of(context, node)
    keys = window.partitions if window is not None else (WHOLE,)
    mend(house.lake, house.ledger, node.asset)
    seen = house.ledger.current(node.asset, list(keys))
    handles = [open_handle(house, one, node, window) for one in node.reads]
    if may_skip(context) and is_current(house.ledger, node, keys, seen, handles):
        yield from skipped(context, keys, seen)
        return
    source = getattr(context.resources, node.extras["source_key"]) if node.source else None
    rows = call(node, window, handles, source)
    require_checks(node.asset, node.extras["checks"], rows.checks)
    if stopping := [check for check in rows.checks if check.is_blocking and not check.passed]:
        yield from (check.result() for check in rows.checks)
        raise CheckFailedError(node.asset, stopping)
    origin = _Origin(handles=handles, source=source)
    try:
        done = publish(
            house.lake,
            house.ledger,
            node.target,
            frames_of(node.asset, rows.frame),
            window=window,
            provenance=origin.of,
            seen=seen,
            run_id=context.run.run_id,
        )
    except AuditError as error:
        yield failed_contract_check(error)
        raise
    yield contract_check(done)
    yield from (one.result() for one in _reads_check(context, node, handles))
    yield from (check.result() for check in rows.checks)
    for key in keys if window is not None else ():
        context.add_asset_metadata({"dagster/row_count": done.rows[key]}, partition_key=key)
    yield table_metadata(done, rows, keys, watermark=origin.of(keys[-1]).watermark)


class _Origin:
    """Inputs and watermark of each partition, from what was read."""

    def __init__(self, *, handles: Sequence[Handle], source: Any) -> None:
        self.handles = handles
        self.published = source.published_until() if isinstance(source, Source) else None

    def of(self, partition: str) -> "Provenance":
        from lakeline.publishing import Provenance

        inputs = tuple(one for handle in self.handles for one in handle.inputs(partition))
        return Provenance(inputs=inputs, watermark=self._watermark(partition))

    def _watermark(self, partition: str) -> dt.datetime | None:
        tables = [one for one in self.handles if isinstance(one, Table) and one.is_read]
        held = [mark for one in tables if (mark := one.watermark(partition)) is not None]
        if self.published is not None and partition != WHOLE:
            held.append(min(self.published, Window.of_days(partition).end))
        return min(held) if held else None


def call(node: Node, window: Window | None, handles: Sequence[Handle], source: Any) -> Rows:
    """Call the user's function with what it declared: the window, the handles in the order of ``reads``, the source."""
    given: list[Any] = [window] if window is not None else []
    given += [
        handle.argument() if isinstance(handle, ModelHandle) else handle for handle in handles
    ]
    if source is not None:
        given.append(source)
    return as_rows(node.function(*given))


def open_handle(house: "Lakehouse", read: Any, node: Node, window: Window | None) -> Handle:
    """The handle of one dependency: of a table, or of a model."""
    if read.node.contract is None:
        return open_model(house, read, node)
    return open_table(house.lake, house.ledger, read, node, window)


def window_of(context: dg.AssetExecutionContext, node: Node) -> Window | None:
    """The event time that a run builds; None for an unpartitioned asset."""
    if not node.daily:
        return None
    return Window.of_days(context.partition_key_range.start, context.partition_key_range.end)


def may_skip(context: dg.AssetExecutionContext) -> bool:
    """Whether the run asks only for what has changed."""
    return context.run.tags.get(IF_CHANGED) == "true"


def is_current(
    ledger: "Ledger",
    node: Node,
    keys: Sequence[str],
    current: "Mapping[str, Current]",
    handles: Sequence[Handle],
) -> bool:
    """Whether every partition was built by this code from the present versions of its inputs.

    Never for an asset with a source: what that holds is known only by reading it.
    """
    if node.source is not None or any(key not in current for key in keys):
        return False
    if any(current[key].code_version != node.code_version or current[key].marked for key in keys):
        return False
    # A day reads fixed days; an unpartitioned asset reads those that exist, and there may be more of them now.
    return node.daily or _reads_the_same(ledger, node, handles)


def _reads_the_same(ledger: "Ledger", node: Node, handles: Sequence[Handle]) -> bool:
    read = {(one.asset, one.partition) for one in ledger.inputs(node.asset, WHOLE)}
    return read == {(one.node.asset, key) for one in handles for key in one.upstream(WHOLE)}


@contextmanager
def as_failure(context: dg.AssetExecutionContext) -> Iterator[None]:
    """An error of lakeline's fails the step with its own words, and without retries where those cannot mend it."""
    try:
        yield
    except LakelineError as error:
        context.log.error("%s", error)
        raise dg.Failure(description=str(error), allow_retries=error.can_retry) from error


def _reads_check(
    context: dg.AssetExecutionContext, node: Node, handles: Sequence[Handle]
) -> Iterator[Check]:
    """Tell of dependencies that were declared and never read."""
    if not node.reads:
        return
    unread = [handle.node.asset for handle in handles if not handle.is_read]
    if unread:
        context.log.warning("%s declares %s and never reads it", node.asset, ", ".join(unread))
    yield Check(
        name="reads",
        passed=not unread,
        description=f"Declared but never read: {', '.join(unread)}. Take it out of reads=."
        if unread
        else "",
        numbers={
            "columns": dg.MetadataValue.json(
                {one.node.asset: sorted(one.fetched) for one in handles}
            )
        },
    )
