"""What a function says beside its rows is kept as plain numbers, bools and texts, or refused before anything is published."""

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import polars as pl
import pytest

from lakeline.domain import Check, Report, Rows, Table
from lakeline.domain.plain import NotPlainError
from lakeline.resource import Lakehouse
from lakeline.window import WHOLE, Window
from tests.shop import SALES, Sale, lakehouse, new_domain, run, sales_asset, sales_frame

DAY = "2024-03-01"
NOON = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def house(tmp_path: Path) -> Lakehouse:
    return lakehouse(tmp_path)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (Decimal("2.5"), 2.5),
        (NOON.date(), "2024-03-01"),
        (NOON, "2024-03-01T12:00:00+00:00"),
        ([np.int64(1), {"a": np.float64(2)}], [1, {"a": 2.0}]),
        ({np.str_("a"): np.int8(1)}, {"a": 1}),
        (None, None),
        (True, True),
    ],
)
def test_what_is_plainly_a_number_a_bool_a_text_or_a_date_is_kept_so(said: Any, kept: Any) -> None:
    for found in (
        Report(html="", numbers={"x": said}).numbers["x"],
        Rows(frame=None, metadata={"x": said}).metadata["x"],
        Check(name="c", passed=True, numbers={"x": said}).numbers["x"],
    ):
        assert found == kept
        assert type(found) is type(kept)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (np.array([1.0, 2.0]), "numpy.ndarray"),
        (pl.DataFrame({"a": [1]}), "polars.DataFrame"),
        (NOON - NOON, "datetime.timedelta"),
        ([1, {2}], "list"),
        (1j, "complex"),
    ],
)
def test_anything_else_is_refused_by_its_name_and_type(said: Any, kind: str) -> None:
    for say, where in (
        (lambda: Report(html="", numbers={"x": said}), r"Report\(numbers=…\)"),
        (lambda: Rows(frame=None, metadata={"x": said}), r"Rows\(metadata=…\)"),
        (lambda: Check(name="c", passed=True, numbers={"x": said}), "Check 'c'"),
    ):
        with pytest.raises(NotPlainError, match=f"^{where} has 'x' as {kind}, which cannot"):
            say()


def test_what_dagster_shows_is_left_as_it_is() -> None:
    shown = {
        "page": dg.MetadataValue.md("# Page"),
        "asset": dg.AssetKey("a"),
        "file": Path("a.html"),
        "rows": dg.MetadataValue.table([dg.TableRecord({"a": 1})]),
    }
    assert Rows(frame=None, metadata=shown).metadata == shown


def test_dagsters_own_types_hold_plain_numbers_too() -> None:
    with pytest.raises(
        NotPlainError, match=r"'x' as dagster\.FloatMetadataValue of numpy\.float64"
    ):
        Rows(frame=None, metadata={"x": dg.MetadataValue.float(np.float64(1))})


@pytest.mark.parametrize("passed", [None, 1, "yes", np.array([True])])
def test_a_check_passes_or_does_not(passed: Any) -> None:
    assert Check(name="c", passed=np.bool_(False)).passed is False  # type: ignore[arg-type]
    with pytest.raises(NotPlainError, match=r"Check 'c' has passed as .* Give True or False"):
        Check(name="c", passed=passed)


def test_a_run_that_says_numbers_of_numpys_ends_well(house: Lakehouse) -> None:
    domain = new_domain()

    @domain.table(contract=Sale, layer="raw", checks=["enough"])
    def sales(window: Window) -> Rows:
        frame = sales_frame(SALES, window)
        mean = frame["amount_cents"].to_numpy().mean()
        check = Check(name="enough", passed=mean > 10, numbers={"mean": mean})
        return Rows(frame=frame, checks=(check,), metadata={"mean": mean})

    @domain.report(reads=[sales])
    def page(sales: Table) -> Report:
        amounts = sales.read().collect()["amount_cents"].to_numpy()
        return Report(html="<p>", numbers={"mean": amounts.mean(), "rows": amounts.max()})

    done = run([sales, page], house, DAY)
    assert done.success, done.error
    assert done.check("sales", "enough").passed is True
    assert done.materializations("sales")[0].metadata["mean"] == dg.FloatMetadataValue(175.0)
    assert done.materializations("page")[0].metadata["rows"] == dg.IntMetadataValue(250)


def test_a_run_that_says_what_cannot_be_kept_publishes_nothing(house: Lakehouse) -> None:
    domain = new_domain()
    stock = sales_asset(domain)

    @domain.table(contract=Sale, reads=[stock])
    def kept(window: Window, sales: Table) -> Rows:
        return Rows(frame=sales.read(), metadata={"amounts": np.array([1])})

    @domain.report(reads=[stock])
    def page(sales: Table) -> Report:
        return Report(html=str(sales), numbers={"amounts": np.array([1])})  # type: ignore[dict-item]

    assert run([stock], house, DAY).success
    for asset, where in ((kept, "Rows(metadata=…)"), (page, "Report(numbers=…)")):
        done = run([asset], house, DAY if asset is kept else None)
        assert done.error.startswith(
            f"{where} has 'amounts' as numpy.ndarray, which cannot be kept."
        )
    assert house.lake.find("shop.kept") is None
    assert house.ledger.current("shop/page", [WHOLE]) == {}
