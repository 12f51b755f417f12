"""One run of the asset that keeps a view online: it brings in the partitions that changed, and nothing else."""

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import dagster as dg

from lakeline.domain.awaiting import note, take_up
from lakeline.domain.handles import Table, open_table
from lakeline.domain.node import Node
from lakeline.domain.online_assets import CLOCK, online_types
from lakeline.domain.recording import Outcome
from lakeline.domain.single import Made, build_single
from lakeline.window import WHOLE, Window

if TYPE_CHECKING:
    import polars as pl

    from lakeline.online import Answer, Materialised, OnlineStore, View
    from lakeline.online.view import EntityType, FeatureType
    from lakeline.resource import Lakehouse

PROBED = 200
"""Entities that are read after each filling, to measure parity by."""


def online_view(node: Node) -> "View":
    """How the rows of a feature view are kept online.

    Raises:
        OnlineTypeError: A column cannot be online.
    """
    from lakeline.online import View

    entities, features = online_types(node)
    return View(
        name=node.name,
        entities=cast("dict[str, EntityType]", entities),
        features=cast("dict[str, FeatureType]", features),
        ttl=dt.timedelta(seconds=node.ttl_s) if node.ttl_s is not None else None,
        event_time=str(node.columns.event_time),
    )


def build_online(context: dg.AssetExecutionContext, node: Node) -> Iterator[Any]:
    """Run an online asset."""
    now = getattr(context.resources, CLOCK).clock.now()
    take_up(context.resources.lakehouse.ledger, now, assets=[node.asset])
    yield from build_single(context, node, lambda house: _made(house, node, now))


def _made(house: "Lakehouse", node: Node, now: dt.datetime) -> Made:
    handle = open_table(house.lake, house.ledger, node.reads[0], node, None)
    found = {key: _counted(handle, key, now) for key in handle.upstream(WHOLE)}
    versions = {key: one.version for key, one in found.items()}
    done = push(house, handle, found, now)
    handle.record(list(handle.node.columns.columns))
    note(
        house.ledger,
        node.asset,
        {key: one.awaited for key, one in found.items() if one.awaited is not None},
    )
    return Made(
        outcome=Outcome(
            version=hashlib.sha256(repr(sorted(versions.items())).encode()).hexdigest()[:32],
            watermark=handle.watermark(WHOLE),
            rows=done.rows,
            size_bytes=0,
        ),
        inputs=handle.inputs(WHOLE),
        metadata=_metadata(done),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """What of a partition counts at a moment; a row counts from the later of its event time and its knowledge time.

    Attributes:
        version: Of those rows: another text once more of them count.
        last: From when on the newest of them counts; None without any.
        awaited: When the next one will; None where all count.
    """

    version: str
    last: dt.datetime | None
    awaited: dt.datetime | None


def _counted(handle: Table, key: str, now: dt.datetime) -> Counted:
    import polars as pl

    times = _times(handle)
    rows = handle.read(Window.of_days(key), columns=times).drop_nulls()
    moment = pl.max_horizontal(times)
    last, awaited = (
        rows.select(
            moment.filter(moment <= now).max().alias("last"),
            moment.filter(moment > now).min().alias("awaited"),
        )
        .collect()
        .row(0)
    )
    version = handle.current[key].version
    return Counted(
        version=version if awaited is None else f"{version}@{last}", last=last, awaited=awaited
    )


def _times(handle: Table) -> list[str]:
    columns = handle.node.columns
    return [str(columns.event_time), str(columns.knowledge_time)]


def push(
    house: "Lakehouse", handle: Table, present: Mapping[str, Counted], now: dt.datetime
) -> "Materialised":
    """Bring the partitions of a view that changed into the online store; rows that do not count yet stay out.

    Some of its entities are then read as a server would and logged, so that parity is measured where nobody serves yet.

    Args:
        house: Where the store is.
        handle: On the view.
        present: Each partition that is to be online.
        now: Moment up to which rows count.
    """
    from lakeline.online import materialise, open_store

    versions = {key: one.version for key, one in present.items()}
    event, known = _times(handle)

    def rows(key: str) -> "pl.DataFrame":
        import polars as pl

        counting = handle.read(Window.of_days(key)).filter(pl.col(event) <= now, pl.col(known) <= now)  # fmt: skip
        # Of one event time the last row is taken: the one that was known last.
        return counting.sort(known, maintain_order=True).collect()

    watermark = handle.watermark(WHOLE)
    house.features_folder.mkdir(parents=True, exist_ok=True)
    store = open_store(house.online_url, prefix=handle.node.domain)
    try:
        done = materialise(store, online_view(handle.node), versions, rows, watermark=watermark)
        moments = [
            moment
            for moment in (watermark, *(one.awaited or one.last for one in present.values()))
            if moment is not None
        ]
        if moments:
            probe(house, handle, store, min(now, max(moments)))
    finally:
        store.close()
    return done


def probe(house: "Lakehouse", handle: Table, store: "OnlineStore", moment: dt.datetime) -> None:
    """Read some entities as of a moment, and log what was served.

    Args:
        house: Where the log is.
        handle: On the view.
        store: Where its values are.
        moment: Moment against which values expire: the latest that the store is complete for.
    """
    import polars as pl

    from lakeline.features.read_log import FILLED, READ, SNAPSHOT, STATUS
    from lakeline.online import Reader

    node = handle.node
    newest = Window.of_days(handle.upstream(WHOLE)[-1])
    keys = handle.read(newest, columns=list(node.entities))
    asked = keys.unique().sort(node.entities).head(PROBED).collect()
    if asked.is_empty():
        return
    found = Reader([(online_view(node), None)], store).read(asked.to_dict(as_series=False), moment)
    feature = next(iter(found.columns))
    status = [
        "expired" if is_old else "missing" if is_absent else "present"
        for is_old, is_absent in zip(found.expired[feature], _absent(found), strict=True)
    ]
    columns = {
        name: pl.Series(name, values).set(
            pl.Series(found.missing[name] | found.expired[name]), None
        )
        for name, values in found.columns.items()
    }
    log = asked.with_columns(**columns).with_columns(
        pl.lit(moment).alias(READ),
        # Without a watermark, the newest day there is.
        pl.lit(found.watermarks[node.name] or newest.end).alias(FILLED),
        pl.lit(handle.snapshot_id, pl.Int64).alias(SNAPSHOT),
        pl.Series(STATUS, status),
    )
    house.read_log(node.domain).append(node.name, log)


def _absent(found: "Answer") -> "list[bool]":
    """Entities without a row: every feature of theirs is missing."""
    return [all(masks) for masks in zip(*found.missing.values(), strict=True)]


def _metadata(done: "Materialised") -> dict[str, Any]:
    found: dict[str, Any] = {
        "partitions_changed": len(done.pushed),
        "partitions": ", ".join(done.pushed) or "none",
        "rows": done.rows,
        "restated": done.restated,
        "deleted": done.deleted,
    }
    if done.watermark is not None:
        found["watermark"] = dg.MetadataValue.timestamp(done.watermark)
    return found
