"""Small ledgers to test on: a raw table, its clean days, and a feature that looks one day back."""

import datetime as dt
import uuid
from typing import Any

from lakeline.ledger import Build, Cost, Input, Ledger

RAW, CLEAN, BACKLOG = "flights/departures", "flights/departures_clean", "flights/origin_backlog"
ARCHIVE = "source:flights/departures"
DAY1, DAY2, DAY3 = "2013-01-01", "2013-01-02", "2013-01-03"
DAYS = (DAY1, DAY2, DAY3)
T0 = dt.datetime(2013, 2, 1, 6, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)
COST = Cost(started_ts=T0, ended_ts=T0 + dt.timedelta(seconds=8), cpu_s=4.0, peak_rss_bytes=1000)


def after(day: str) -> dt.datetime:
    """The midnight at which a day is over."""
    return dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC) + dt.timedelta(days=1)


def read(asset: str, partition: str, version: str) -> Input:
    return Input(
        asset=asset, partition=partition, version=version, snapshot_id=7, columns=("dep_delay_min",)
    )


def build(asset: str, partition: str, version: str, *inputs: Input, **values: Any) -> Build:
    return Build(asset=asset, partition=partition, version=version, inputs=inputs, **values)


def publish(ledger: Ledger, *builds: Build, snapshot_id: int | None = 1, cost: Cost = COST) -> str:
    batch = uuid.uuid4().hex
    ledger.begin(batch, builds, cost.started_ts)
    ledger.publish(batch, snapshot_id, cost)
    return batch


def chain(ledger: Ledger) -> None:
    """Three days of each of the three assets, all of them consistent, and no change left to take up."""
    publish(ledger, *(build(RAW, day, "r1", watermark=after(day)) for day in DAYS))
    publish(ledger, *(build(CLEAN, day, "c1", read(RAW, day, "r1")) for day in DAYS))
    publish(
        ledger,
        build(BACKLOG, DAY1, "b1", read(CLEAN, DAY1, "c1")),
        build(BACKLOG, DAY2, "b1", read(CLEAN, DAY1, "c1"), read(CLEAN, DAY2, "c1")),
        build(BACKLOG, DAY3, "b1", read(CLEAN, DAY2, "c1"), read(CLEAN, DAY3, "c1")),
    )
    take_up(ledger)


def take_up(ledger: Ledger) -> tuple[tuple[str, str], ...]:
    """The changes so far, which are then taken up."""
    found = ledger.changes()
    ledger.settle_agenda(seq=found.seq, add=[], remove=[], now=T0)
    return found.pairs


def marked(ledger: Ledger) -> list[tuple[str, str]]:
    return [(mark.asset, mark.partition) for mark in ledger.marked()]
