"""A domain's folder becomes its assets: its modules are imported, and only then is it said what their functions reach."""

import importlib
import sys
from pathlib import Path

import dagster as dg
import pytest

from lakeline.domain import Domain, load_domain
from lakeline.domain.declared import UndeclaredReadError
from lakeline.domain.loading import NoDomainError
from lakeline.domain.node import nodes_of

DOMAIN = """
from lakeline.domain import Daily, Domain

bakery = Domain("bakery", owner="team:bakery", partitions=Daily(start="2024-03-01"))
"""
BREAD = """
import polars as pl

from lakeline.contract import Contract, column

from bakery.domain import bakery


class Loaf(Contract):
    name: str = column("Name", key=True)
    weight_g: float = column("Weight")


@bakery.table(contract=Loaf, layer="raw", daily=False)
def loaves() -> pl.DataFrame:
    return pl.DataFrame({"name": ["rye"], "weight_g": [weight()]})


def weight() -> float:
    return FLOUR_G * 1.6


FLOUR_G = 500.0


@bakery.table(contract=Loaf, reads=[loaves], daily=False)
def heavy(loaves) -> pl.DataFrame:
    return loaves.read().filter(pl.col("weight_g") > 700.0)
"""


def load(folder: Path, monkeypatch: pytest.MonkeyPatch, **files: str) -> Domain:
    """The domain of a package ``bakery`` in a folder of its own, imported anew."""
    package = folder / "bakery"
    package.mkdir(parents=True)
    for name, text in {"__init__": "", "domain": DOMAIN, **files}.items():
        (package / f"{name}.py").write_text(text)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for name in [one for one in sys.modules if one.partition(".")[0] == "bakery"]:
            patch.delitem(sys.modules, name)
        return load_domain(importlib.import_module("bakery"))


def versions(domain: Domain) -> dict[str, str]:
    return {name: node.code_version for name, node in nodes_of(domain.assets).items()}


@pytest.mark.parametrize(
    ("old", "new"),
    [("* 1.6", "* 1.7"), ("FLOUR_G = 500.0", "FLOUR_G = 550.0")],
    ids=["function", "constant"],
)
def test_what_stands_below_a_function_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str
) -> None:
    before = versions(load(tmp_path / "before", monkeypatch, bread=BREAD))
    after = versions(load(tmp_path / "after", monkeypatch, bread=BREAD.replace(old, new)))
    assert after["bakery/loaves"] != before["bakery/loaves"]
    assert after["bakery/heavy"] == before["bakery/heavy"]


def test_dagster_is_told_the_same_code_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = load(tmp_path, monkeypatch, bread=BREAD)
    told = {spec.key.to_user_string(): spec.code_version for one in domain.assets for spec in one.specs}  # fmt: skip
    assert told == versions(domain)


def test_an_asset_that_a_function_below_mentions_must_be_declared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bread = BREAD.replace("return FLOUR_G * 1.6", "return len(str(heavy)) * 1.6")
    with pytest.raises(UndeclaredReadError, match=r"'bakery/loaves' mentions 'bakery/heavy' in weight\(\)"):  # fmt: skip
        load(tmp_path, monkeypatch, bread=bread)


def test_completing_a_domain_again_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = load(tmp_path, monkeypatch, bread=BREAD)
    before = list(domain.assets)
    domain.complete()
    assert domain.assets == before
    assert all(isinstance(one, dg.AssetsDefinition) for one in before)


@pytest.mark.parametrize(
    ("domain", "said"),
    [
        ("", "no domain"),
        (DOMAIN + DOMAIN.replace("bakery", "mill"), r"2 domains \(bakery, mill\)"),
    ],
)
def test_a_folder_holds_one_domain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, domain: str, said: str
) -> None:
    with pytest.raises(NoDomainError, match=f"Package bakery has {said}"):
        load(tmp_path, monkeypatch, domain=domain)
