"""A ledger of the first release is brought up to date in place, and loses nothing."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from lakeline.ledger import Ledger, Reach
from tests.ledgers import CLEAN, DAY1, DAY2, DAYS, RAW, after, build, publish, read

OLD = Path(__file__).parent / "ledger_v1.sql"
PLANES = "flights/planes"
REACH = {
    RAW: Reach(newest=DAY2, watermark=after(DAY2), partitions=2),
    PLANES: Reach(newest="", watermark=None, partitions=1),
    CLEAN: Reach(newest=DAY2, watermark=after(DAY2), partitions=2),
}


@pytest.fixture
def old_url(ledger_url: str) -> str:
    """A database as the first release left it."""
    script = OLD.read_text().split("\n", 1)[1]
    if not ledger_url.startswith("sqlite"):
        script = script.replace(" WITHOUT ROWID", "")
    engine = sa.create_engine(ledger_url)
    with engine.begin() as connection:
        for statement in script.split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement.rstrip(";\n"))
    engine.dispose()
    return ledger_url


def tables(url: str) -> dict[str, dict[str, set[str]]]:
    """Columns and indexes of each table, but for those that a server makes by itself."""
    engine = sa.create_engine(url)
    found = sa.inspect(engine)
    shape = {
        name: {
            "columns": {column["name"] for column in found.get_columns(name)},
            "indexes": {str(one["name"]) for one in found.get_indexes(name)}
            - {f"{name}_name_key", f"{name}_text_key"},
        }
        for name in found.get_table_names()
    }
    engine.dispose()
    return shape


def test_an_old_ledger_tells_what_it_told_before_and_how_far_it_reaches(old_url: str) -> None:
    ledger = Ledger(old_url)
    assert ledger.reach() == REACH
    assert ledger.versions(RAW) == {DAY1: "r1", DAY2: "r2"}
    assert ledger.pending(CLEAN) == ["open"]
    assert [len(ledger.history(asset)) for asset in (RAW, PLANES, CLEAN)] == [4, 1, 3]
    assert ledger.cost_since(after(DAY1)) == 16.0
    assert ledger.verify() == set()
    ledger.close()


def test_what_marked_something_before_is_the_first_change(old_url: str) -> None:
    ledger = Ledger(old_url)
    assert ledger.marked_of(CLEAN) == (DAY2,)
    assert ledger.changes().pairs == ((RAW, DAY2),)
    assert [ledger.agenda(), ledger.attempts(), ledger.sources()] == [{}, {}, {}]
    ledger.close()


def test_an_upgraded_ledger_goes_on(old_url: str) -> None:
    ledger = Ledger(old_url)
    publish(ledger, build(RAW, DAYS[2], "r1", watermark=after(DAYS[2])))
    publish(ledger, build(CLEAN, DAY2, "c1", read(RAW, DAY2, "r2"), read(PLANES, "", "p1")))
    assert ledger.marked() == []
    assert ledger.changes().pairs == ((RAW, DAY2), (RAW, DAYS[2]))
    assert ledger.reach()[RAW] == Reach(newest=DAYS[2], watermark=after(DAYS[2]), partitions=3)
    ledger.close()
    again = Ledger(old_url)
    assert again.changes().pairs == ((RAW, DAY2), (RAW, DAYS[2]))
    again.close()


def test_an_upgraded_ledger_has_the_tables_of_a_new_one(
    old_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for url in (old_url, new_url := f"sqlite:///{tmp_path_factory.mktemp('new')}/ledger.db"):
        ledger = Ledger(url)
        ledger.reach()
        ledger.close()
    assert tables(old_url) == tables(new_url)


def test_processes_that_open_an_old_ledger_at_once_upgrade_it_once(old_url: str) -> None:
    code = f"from lakeline.ledger import Ledger; assert len(Ledger({old_url!r}).reach()) == 3"
    racers = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [racer.wait(timeout=120) for racer in racers] == [0] * 4
    ledger = Ledger(old_url)
    assert ledger.reach() == REACH
    assert ledger.changes().pairs == ((RAW, DAY2),)
    ledger.close()
