"""One run of a table asset: open what it reads, call the function, publish, and tell Dagster."""

import datetime as dt
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import dagster as dg

from lakeline.domain.features import Features, Joined
from lakeline.domain.handles import Table, open_table
from lakeline.domain.labels import Labelled
from lakeline.domain.measuring import measure, pictures
from lakeline.domain.model_handle import ModelHandle, open_model
from lakeline.domain.node import Node
from lakeline.domain.outcome import Check, Rows, as_rows, frames_of, require_checks
from lakeline.domain.results import (
    contract_check,
    failed_contract_check,
    merged,
    merged_checks,
    skipped,
    table_metadata,
)
from lakeline.domain.selection import to_build
from lakeline.errors import AuditError, DomainError, LakelineError
from lakeline.freshness.sources import Awaited, observe, source_of
from lakeline.ledger import Input
from lakeline.meter import Meter
from lakeline.window import WHOLE, Window, contiguous

if TYPE_CHECKING:
    from lakeline.ledger import Current
    from lakeline.publishing import Provenance, Publication
    from lakeline.resource import Lakehouse

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
    """Where a raw table comes from; given to its function after the window.

    Its class may say its rhythm: ``publishes_every``, a timedelta, and ``publishes_after``, the time from the end of what
    is published until it is there. A promise that this rhythm cannot let anybody keep is then refused when it is declared.
    """

    def published_until(self) -> dt.datetime:
        """Event time up to which the source is complete at present, aware UTC."""
        ...


def build_table(context: dg.AssetExecutionContext, node: Node) -> Iterator[Any]:
    """Run a table asset for the partitions of the run."""
    with as_failure(context):
        yield from _build_table(context, node)


def _build_table(context: dg.AssetExecutionContext, node: Node) -> Iterator[Any]:
    from lakeline.recording import mend

    house: Lakehouse = context.resources.lakehouse
    window = window_of(context, node)
    keys = window.partitions if window is not None else (WHOLE,)
    mend(house.lake, house.ledger, node.asset)
    source = getattr(context.resources, node.extras["source_key"]) if node.source else None
    if source is not None:
        if window is not None and isinstance(source, Awaited):
            source.require_published(window, node.name)  # before it says how far it reaches
        observe(house.ledger, node, source)
    seen = house.ledger.current(node.asset, list(keys))
    todo = to_build(house.ledger, node, keys, context.run.tags)
    if not todo:
        yield from skipped(context, keys, seen)
        return
    built = []
    for stretch in windows_of(node, todo):
        built.append((yield from _build_window(context, node, stretch, source)))  # noqa: PERF401 - yields on the way
    yield from _told(context, node, keys, seen, built)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Built:
    """What became of one stretch of partitions."""

    done: "Publication"
    rows: Rows
    handles: "Sequence[Handle]"
    watermark: dt.datetime | None


def _build_window(
    context: dg.AssetExecutionContext, node: Node, window: Window | None, source: Any
) -> "Generator[Any, None, _Built]":
    from lakeline.publishing import publish

    house: Lakehouse = context.resources.lakehouse
    meter = Meter()
    keys = window.partitions if window is not None else (WHOLE,)
    seen = house.ledger.current(node.asset, list(keys))
    origin = _Origin(house, node, keys, source)
    handles = origin.open(window)
    rows = call(house, node, window, handles, source)
    require_checks(node.asset, node.extras["checks"], rows.checks)
    if stopping := [check for check in rows.checks if check.is_blocking and not check.passed]:
        yield from (check.result() for check in rows.checks)
        raise CheckFailedError(node.asset, stopping)
    frames = frames_of(node.asset, rows.frame)
    try:
        done = publish(
            house.lake,
            house.ledger,
            node.target,
            frames,
            window=window,
            provenance=origin.of,
            seen=seen,
            run_id=context.run.run_id,
            meter=meter,
        )
    except AuditError as error:
        yield failed_contract_check(error)
        raise
    if node.entities:
        # What was streamed, or lost rows to the audit, is read back a day at a time.
        whole = None if isinstance(frames, Iterator) or done.violations else frames
        measure(house, node, done.versions, whole)
    return _Built(done=done, rows=rows, handles=handles, watermark=origin.of(keys[-1]).watermark)


def _told(
    context: dg.AssetExecutionContext,
    node: Node,
    keys: Sequence[str],
    seen: "Mapping[str, Current]",
    built: Sequence[_Built],
) -> Iterator[Any]:
    """What Dagster is told of all stretches together."""
    done = merged([one.done for one in built], {key: one.version for key, one in seen.items()})
    yield contract_check(done)
    yield from (one.result() for one in _reads_check(context, node, [h for one in built for h in one.handles]))  # fmt: skip
    yield from (one.result() for one in merged_checks([one.rows.checks for one in built]))
    for key in done.rows if keys[0] != WHOLE else ():
        context.add_asset_metadata({"dagster/row_count": done.rows[key]}, partition_key=key)
    if node.entities:
        # With the newest partition alone: what a materialization says, Dagster repeats for each of its partitions.
        shown = dg.MetadataValue.md(pictures(context.resources.lakehouse, node))
        context.add_asset_metadata({"features": shown}, partition_key=keys[-1])
    yield table_metadata(done, built[-1].rows, keys, watermark=built[-1].watermark)


class _Origin:
    """Inputs and watermark of each partition, from what was read.

    What the ledger knows of the source is taken before the source is read: a change in between is found later.
    """

    def __init__(self, house: "Lakehouse", node: Node, keys: Sequence[str], source: Any) -> None:
        self.house, self.node = house, node
        self.handles: list[Handle] = []
        name = source_of(node.asset)
        self.published = _published(house, name, source)
        self.versions = house.ledger.versions_of([(name, key) for key in keys]) if source else {}

    def open(self, window: Window | None) -> list[Handle]:
        """The handles of what the asset reads, pinned now."""
        self.handles = [open_handle(self.house, one, self.node, window) for one in self.node.reads]
        return self.handles

    def of(self, partition: str) -> "Provenance":
        from lakeline.publishing import Provenance

        inputs = tuple(one for handle in self.handles for one in handle.inputs(partition))
        source = (source_of(self.node.asset), partition)
        if source in self.versions:
            known = Input(asset=source[0], partition=partition, version=self.versions[source])
            inputs = (*inputs, known)
        return Provenance(inputs=inputs, watermark=self._watermark(partition))

    def _watermark(self, partition: str) -> dt.datetime | None:
        tables = [one for one in self.handles if isinstance(one, Table) and one.is_read]
        held = [mark for one in tables if (mark := one.watermark(partition)) is not None]
        if self.published is not None and partition != WHOLE:
            held.append(min(self.published, Window.of_days(partition).end))
        elif self.published is not None and self.node.extras["promise"]:
            held.append(
                self.published
            )  # a reference table holds back only where it promises something
        return min(held) if held else None


def _published(house: "Lakehouse", name: str, source: Any) -> dt.datetime | None:
    """Up to when a source is complete: as it says itself, or as a landing sensor saw it last."""
    if source is None or isinstance(source, Source):
        return source.published_until() if source is not None else None
    seen = house.ledger.sources().get(name)
    return seen.watermark if seen is not None else None


def call(
    house: "Lakehouse",
    node: Node,
    window: Window | None,
    handles: Sequence[Handle],
    source: Any,
) -> Rows:
    """Call the user's function with what it declared: window, handles in the order of ``reads``, features, source."""
    served: Joined = node.extras["features"]
    views = [one for one in handles[len(handles) - len(served.views) :] if isinstance(one, Table)]
    given: list[Any] = [window] if window is not None else []
    given += [
        handle.argument() if isinstance(handle, ModelHandle) else handle
        for handle in handles[: len(handles) - len(served.views)]
    ]
    features = Features(tables=tuple(views), served=served, reader=node, house=house)
    labelled: Labelled | None = node.extras.get("labelled")
    if served and labelled is None:
        given.append(features)
    if source is not None:
        given.append(source)
    rows = as_rows(node.function(*given))
    return labelled.finish(rows, features) if labelled is not None else rows


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


def windows_of(node: Node, keys: Sequence[str]) -> list[Window | None]:
    """The stretches of partitions that are built together; one None for an unpartitioned asset."""
    return [Window.of_days(a, b) for a, b in contiguous(keys)] if node.daily else [None]


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
