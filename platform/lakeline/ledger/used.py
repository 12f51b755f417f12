"""What the newest builds of each asset used: memory, cores and GPUs, to hold a declared size against."""

from statistics import median
from typing import Any

import sqlalchemy as sa

from lakeline.ledger.records import RECOVERED, Used
from lakeline.ledger.schema import PUBLISHED, asset, batch


def used(connection: sa.Connection, *, newest: int) -> list[Used]:
    """By asset, of its ``newest`` published batches whose figures are known."""
    numbered = (
        sa.select(
            batch,
            sa.func.row_number()
            .over(partition_by=batch.c.asset_id, order_by=batch.c.id.desc())
            .label("place"),
        )
        .where(batch.c.status == PUBLISHED, batch.c.placement != RECOVERED)
        .subquery("numbered")
    )
    statement = (
        sa.select(asset.c.name.label("asset"), numbered)
        .join_from(numbered, asset, asset.c.id == numbered.c.asset_id)
        .where(numbered.c.place <= newest)
        .order_by(asset.c.name, numbered.c.place)
    )
    found: dict[str, list[sa.Row[Any]]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.asset, []).append(row)
    return [_used(name, rows) for name, rows in found.items()]


def _used(name: str, rows: "list[sa.Row[Any]]") -> Used:
    took_s = [max((row.ended_us - row.started_us) / 1e6, 1e-3) for row in rows]
    busy = [row.gpu_busy for row in rows if row.gpu_busy is not None]
    return Used(
        asset=name,
        batches=len(rows),
        peak_rss_bytes=max(row.peak_rss_bytes for row in rows),
        cores=max(row.cpu_s / wall_s for row, wall_s in zip(rows, took_s, strict=True)),
        wall_s=median(took_s),
        gpu_s=max(row.gpu_s for row in rows),
        gpu_busy=sum(busy) / len(busy) if busy else None,
        peak_gpu_bytes=max(row.peak_gpu_bytes for row in rows),
        placement=rows[0].placement,
    )
