"""A crash between the commit to the lake and its record is mended from the lake, on SQLite and Postgres."""

import datetime as dt
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from lakeline.ledger import Build, Cost, Input, Ledger, recover

RAW, CLEAN = "flights/departures", "flights/departures_clean"
DAY1, DAY2 = "2013-01-01", "2013-01-02"
T0 = dt.datetime(2013, 2, 1, 6, tzinfo=dt.UTC)
COST = Cost(started_ts=T0, ended_ts=T0 + dt.timedelta(seconds=8), cpu_s=4.0, peak_rss_bytes=1000)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of its own for each test; a schema of its own on the Postgres server."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/ledger.db"
        return
    try:
        server = request.getfixturevalue("postgres_url")
    except pytest.FixtureLookupError:
        pytest.skip("needs the fixture postgres_url, which starts a Postgres server")
    schema, engine = f"ledger_{uuid.uuid4().hex[:8]}", sa.create_engine(server)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    yield f"{server}?options=-csearch_path%3D{schema}"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP SCHEMA {schema} CASCADE")
    engine.dispose()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = Ledger(url)
    yield opened
    opened.close()


def build(asset: str, partition: str, version: str, **inputs: str) -> Build:
    reads = tuple(Input(asset=RAW, partition=p, version=v) for p, v in inputs.items())
    return Build(asset=asset, partition=partition, version=version, inputs=reads)


def begin(ledger: Ledger, batch: str, *builds: Build) -> None:
    ledger.begin(batch, builds, T0)


# --- what is pending ------------------------------------------------------------------------------


def test_a_batch_that_reached_the_lake_is_published_and_one_that_did_not_is_abandoned(
    ledger: Ledger,
) -> None:
    begin(ledger, "lost", build(RAW, DAY1, "r1"))
    begin(ledger, "committed", build(RAW, DAY1, "r2"), build(RAW, DAY2, "r2"))
    found = recover(ledger, RAW, {"earlier": 1, "committed": 2})
    assert (found.published, found.abandoned) == (("committed",), ("lost",))
    assert ledger.versions(RAW) == {DAY1: "r2", DAY2: "r2"}
    assert ledger.last_snapshot(RAW) == ledger.current(RAW)[DAY1].snapshot_id == 2
    assert ledger.pending(RAW) == []


def test_recovery_marks_what_the_lost_record_would_have_marked(ledger: Ledger) -> None:
    begin(ledger, "raw", build(RAW, DAY1, "r1"))
    ledger.publish("raw", 1, COST)
    ledger.begin("clean", [build(CLEAN, DAY1, "c1", **{DAY1: "r1"})], T0)
    ledger.publish("clean", 1, COST)
    begin(ledger, "late", build(RAW, DAY1, "r2"))
    recover(ledger, RAW, {"raw": 1, "late": 2})
    assert [(mark.asset, mark.partition) for mark in ledger.marked()] == [(CLEAN, DAY1)]


def test_recovering_twice_is_as_once(ledger: Ledger) -> None:
    begin(ledger, "lost", build(RAW, DAY1, "r1"))
    begin(ledger, "committed", build(RAW, DAY1, "r2"))
    recover(ledger, RAW, {"committed": 2})
    before = (ledger.current(RAW), ledger.history(RAW), ledger.summary())
    again = recover(ledger, RAW, {"committed": 2})
    assert (again.published, again.abandoned) == ((), ())
    assert (ledger.current(RAW), ledger.history(RAW), ledger.summary()) == before


def test_only_the_asset_asked_for_is_recovered(ledger: Ledger) -> None:
    begin(ledger, "raw", build(RAW, DAY1, "r1"))
    ledger.begin("clean", [build(CLEAN, DAY1, "c1")], T0)
    recover(ledger, RAW, {})
    assert ledger.pending(CLEAN) == ["clean"]


def test_a_recovered_batch_counts_no_cost_and_no_outage(ledger: Ledger) -> None:
    begin(ledger, "committed", build(RAW, DAY1, "r1"))
    recover(ledger, RAW, {"committed": 2})
    record = ledger.history(RAW)[0]
    assert (record.cpu_s, record.wall_s, record.placement) == (0.0, 0.0, "recovered")
    assert record.ended_ts == T0


# --- order ----------------------------------------------------------------------------------------


def test_batches_are_published_in_the_order_of_their_commits(ledger: Ledger) -> None:
    begin(ledger, "begun first", build(RAW, DAY1, "late"))
    begin(ledger, "begun second", build(RAW, DAY1, "early"))
    found = recover(ledger, RAW, {"begun second": 1, "begun first": 2})
    assert found.published == ("begun second", "begun first")
    assert ledger.versions(RAW) == {DAY1: "late"}
    assert ledger.last_snapshot(RAW) == 2


def test_a_late_record_does_not_undo_a_commit_that_came_after_it(ledger: Ledger) -> None:
    begin(ledger, "crashed", build(RAW, DAY1, "old"), build(RAW, DAY2, "old"))
    begin(ledger, "next", build(RAW, DAY1, "new"))
    ledger.publish("next", 2, COST)
    recover(ledger, RAW, {"crashed": 1, "next": 2})
    assert ledger.versions(RAW) == {DAY1: "new", DAY2: "old"}
    assert ledger.last_snapshot(RAW) == 2
    assert ledger.summary()[0].last_version == "new"


def test_a_batch_that_was_given_up_too_early_is_published_when_the_lake_has_it(
    ledger: Ledger,
) -> None:
    begin(ledger, "slow", build(RAW, DAY1, "r1"))
    recover(ledger, RAW, {})
    assert ledger.pending(RAW) == []
    recover(ledger, RAW, {"slow": 4})
    assert ledger.versions(RAW) == {DAY1: "r1"}
    assert ledger.inconsistent() == set()


def test_a_batch_that_was_given_up_too_early_can_still_publish_itself(ledger: Ledger) -> None:
    begin(ledger, "slow", build(RAW, DAY1, "r1"))
    recover(ledger, RAW, {})
    ledger.publish("slow", 4, COST)
    assert ledger.versions(RAW) == {DAY1: "r1"}


# --- kill -9 --------------------------------------------------------------------------------------

KILLED_PENDING = """
import os, signal, sys
from datetime import datetime, UTC
from lakeline.ledger import Build, Ledger
Ledger(sys.argv[1]).begin("killed", [Build(asset="flights/departures", partition="2013-01-01", version="r2")], datetime.now(UTC))
os.kill(os.getpid(), signal.SIGKILL)
"""

KILLED_INSIDE = """
import os, signal, sys
from datetime import datetime, UTC
from lakeline.ledger import Build, Cost, Ledger, present
now, ledger = datetime.now(UTC), Ledger(sys.argv[1])
ledger.begin("killed", [Build(asset="flights/departures", partition="2013-01-01", version="r2")], now)
with ledger._database.write() as connection:
    present.publish(connection, "killed", 2, cost=Cost(started_ts=now, ended_ts=now, cpu_s=1.0, peak_rss_bytes=1), overtaken_by=())
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("script", [KILLED_PENDING, KILLED_INSIDE], ids=["pending", "inside"])
@pytest.mark.parametrize(
    "lake", [{"first": 1, "killed": 2}, {"first": 1}], ids=["committed", "not committed"]
)
def test_a_process_killed_before_its_record_leaves_the_present_alone_until_recovery(
    url: str, script: str, lake: dict[str, int]
) -> None:
    ledger = Ledger(url)
    begin(ledger, "first", build(RAW, DAY1, "r1"))
    ledger.publish("first", 1, COST)
    ledger.begin("clean", [build(CLEAN, DAY1, "c1", **{DAY1: "r1"})], T0)
    ledger.publish("clean", 1, COST)
    killed = subprocess.run([sys.executable, "-c", script, url], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (ledger.versions(RAW), ledger.marked()) == ({DAY1: "r1"}, [])
    assert ledger.pending(RAW) == ["killed"]
    recover(ledger, RAW, lake)
    assert ledger.versions(RAW) == {DAY1: "r2" if "killed" in lake else "r1"}
    assert len(ledger.marked()) == ("killed" in lake)
    ledger.close()


LOOP = """
import fcntl, json, os, sys, uuid
from datetime import datetime, UTC
from lakeline.ledger import Build, Cost, Ledger, recover
url, lake, lock = sys.argv[1:]
def committed():
    if not os.path.exists(lake): return []
    return [json.loads(line) for line in open(lake) if line.endswith("\\n")]
ledger, now = Ledger(url), datetime.now(UTC)
cost = Cost(started_ts=now, ended_ts=now, cpu_s=1.0, peak_rss_bytes=1)
for number in range(10_000):
    with open(lock, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        history = committed()
        if ledger.pending("d/a"):
            recover(ledger, "d/a", {c["batch"]: c["snapshot"] for c in history})
        batch, snapshot = uuid.uuid4().hex, len(history) + 1
        versions = {f"p{(snapshot + i) % 5}": batch[:8] for i in range(2)}
        ledger.begin(batch, [Build(asset="d/a", partition=p, version=v) for p, v in versions.items()], now)
        with open(lake, "a") as file:
            file.write(json.dumps({"batch": batch, "snapshot": snapshot, "versions": versions}) + "\\n")
        ledger.publish(batch, snapshot, cost)
"""


def test_kill_9_at_random_moments_leaves_the_ledger_equal_to_the_lake(
    url: str, tmp_path: Path
) -> None:
    """Two processes publish in a loop to a lake that is a file; one after the other is killed."""
    choose, lake = random.Random(7), tmp_path / "lake.jsonl"  # noqa: S311
    command = [sys.executable, "-c", LOOP, url, str(lake), str(tmp_path / "lock")]
    loops = [subprocess.Popen(command) for _ in range(2)]
    for _ in range(4):
        victim = loops.pop(0)
        wait_for_more(lake, choose.randint(3, 9))
        time.sleep(choose.random() * 0.01)
        victim.kill()
        victim.wait()
        loops.append(subprocess.Popen(command))
    for loop in loops:
        loop.kill()
        loop.wait()
    ledger, commits = Ledger(url), [json.loads(line) for line in lake.read_text().splitlines()]
    recover(ledger, "d/a", {commit["batch"]: commit["snapshot"] for commit in commits})
    expected: dict[str, str] = {}
    for commit in commits:
        expected |= commit["versions"]
    assert ledger.versions("d/a") == expected
    assert ledger.last_snapshot("d/a") == len(commits)
    published = [r for r in ledger.history("d/a", limit=10**6) if r.status == "published"]
    assert len(published) == 2 * len(commits)
    assert ledger.pending("d/a") == []
    ledger.close()


def wait_for_more(lake: Path, commits: int) -> None:
    def count() -> int:
        return len(lake.read_bytes().splitlines()) if lake.exists() else 0

    goal, deadline = count() + commits, time.monotonic() + 60
    while count() < goal and time.monotonic() < deadline:
        time.sleep(0.005)
    assert count() >= goal


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_uses_connections_of_its_own(ledger: Ledger) -> None:
    begin(ledger, "parent", build(RAW, DAY1, "r1"))
    pid = os.fork()
    if pid == 0:
        try:
            ledger.publish("parent", 1, COST)
            ledger.close()
        except BaseException:  # noqa: BLE001 - the child must end here, whatever happens
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert ledger.versions(RAW) == {DAY1: "r1"}
    begin(ledger, "after", build(RAW, DAY1, "r2"))
    ledger.publish("after", 2, COST)
    assert ledger.versions(RAW) == {DAY1: "r2"}
