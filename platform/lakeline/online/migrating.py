"""Carries a view's rows over when its features change, so that readers are not left without."""

from typing import TYPE_CHECKING

import numpy as np

from lakeline.online.answer import Block, Wanted
from lakeline.online.rows import Batch, origin_of, pack_features
from lakeline.online.store import NO_WATERMARK, Held, OnlineStore, other_layout
from lakeline.online.view import NUMPY, View

if TYPE_CHECKING:
    import polars as pl

CHUNK = 5_000
_WIDER = {("int32", "int64"), ("float32", "float64"), ("int32", "float64")}


def migrate(store: OnlineStore, view: View) -> bool:
    """Rewrite rows of a former layout in the view's present one; returns whether there were any.

    Features that both have keep their values, also where a number's type became wider; new ones are null until the next
    materialisation, which reads all partitions anew. Where features were only taken away, what is held stays held and the
    watermark stands. Rows that were found by other entities are dropped. Rows that are pushed to the former layout
    meanwhile may be lost.
    """
    layout = other_layout(store, view)
    if layout is None:
        return False
    former = layout.as_view(view.name)
    if former.layout.entities == view.layout.entities:
        _carry_over(store, former, view)
    store.drop(view.name, keep=view.layout.digest)
    return True


def _carry_over(store: OnlineStore, former: View, view: View) -> None:
    state = store.state(former)
    origins = store.begin(view, list(state.partitions))
    renumbered = {held.origin: origins[name] for name, held in state.partitions.items()}
    kept = [name for name in view.features if _is_kept(former, view, name)]
    for batch in store.scan(former, CHUNK):
        if len(batch):
            rows = _rewritten(former, view, batch, kept)
            numbers = np.array([renumbered.get(origin_of(row), 0) for row in batch.rows])
            block = Block(Wanted(former, {}), batch.rows, NO_WATERMARK, 0)
            packed = pack_features(view, rows, block.events_us, numbers)
            store.fill(view, Batch(keys=batch.keys, rows=packed, created_us=batch.created_us))
    is_whole = len(kept) == len(view.features)
    if is_whole:
        held = {
            name: Held(origin=origins[name], version=each.version, newest_us=each.newest_us)
            for name, each in state.partitions.items()
        }
        store.hold(view, held)
    store.finish(view, gone=[], watermark=state.watermark if is_whole else None)


def _is_kept(former: View, view: View, name: str) -> bool:
    was, now = former.features.get(name), view.features[name]
    return was == now or (was, now) in _WIDER


def _rewritten(former: View, view: View, batch: Batch, kept: list[str]) -> "pl.DataFrame":
    """The features of the rows as a frame, null where the former view had none."""
    import polars as pl

    wanted = Wanted(former, {name: name for name in kept})
    # Of a view without a time to live, so that old rows are carried over too.
    block = Block(wanted, batch.rows, NO_WATERMARK, 0)
    values = dict(zip(wanted.names, block.columns(), strict=True))
    missing = dict(zip(wanted.names, block.missing(), strict=True)) if kept else {}
    columns = {name: pl.Series(name, [None] * len(batch)) for name in view.features}
    for name in kept:
        is_text = former.features[name] not in NUMPY
        column = pl.Series(name, values[name].tolist() if is_text else np.ascontiguousarray(values[name]), dtype=_dtype(former.features[name]))  # fmt: skip
        columns[name] = pl.select(pl.when(~pl.Series(missing[name])).then(column)).to_series()
    return pl.DataFrame(columns)


def _dtype(kind: str) -> "pl.DataType | None":
    import polars as pl

    texts = {"string": pl.String(), "binary": pl.Binary(), "proto": pl.Binary()}
    return texts.get(kind, pl.Datetime("us") if kind == "timestamp" else None)
