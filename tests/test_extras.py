"""A part that needs more packages says in one line which command adds them."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from lakeline.errors import MissingExtraError
from lakeline.lake import Lake
from lakeline.ledger import Ledger

ROOT = Path(__file__).parents[1]
URL = "postgresql://me@nowhere:1/db"


@pytest.fixture(autouse=True)
def _no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("psycopg2", "psycopg"):
        monkeypatch.setitem(sys.modules, name, None)


def test_a_ledger_on_postgres_without_its_driver_names_the_extra() -> None:
    with pytest.raises(MissingExtraError) as caught:
        Ledger(URL).versions("shop/sales")
    assert str(caught.value) == (
        "A ledger on postgresql needs more packages. Run: pip install 'lakeline[postgres]' (in a clone: make setup-postgres)"
    )


def test_a_catalog_on_postgres_without_its_driver_names_the_extra(tmp_path: Path) -> None:
    lake = Lake(catalog_uri=URL, warehouse=str(tmp_path), locks=tmp_path / "locks")
    with pytest.raises(MissingExtraError) as caught:
        lake.tables()
    assert str(caught.value) == (
        "A catalog on postgresql needs more packages. Run: pip install 'lakeline[postgres]' (in a clone: make setup-postgres)"
    )


def test_every_extra_that_an_error_names_can_be_installed() -> None:
    pattern = re.compile(r"MissingExtraError\(.*\"(\w+)\"\)")
    sources = [file.read_text() for file in (ROOT / "platform").rglob("*.py")]
    named = {name for text in sources for name in pattern.findall(text)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert named
    assert named <= set(project["optional-dependencies"])
