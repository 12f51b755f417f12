"""Drift, performance and pages."""

import math
import threading
import urllib.request
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lakeline.errors import ColumnsMissingError, EvaluationError, PageNameError
from lakeline.monitoring.drift import drift, psi
from lakeline.monitoring.evidently_html import drift_html, performance_html
from lakeline.monitoring.page_server import page_server
from lakeline.monitoring.pages import note_html, write_page
from lakeline.monitoring.performance import (
    Tolerance,
    brier_kept,
    calibration_kept,
    performance,
)
from lakeline.monitoring.verdict import drift_verdict, headed

ROWS = 2000
LONG_SCRIPT = "<script>" + "x" * 1_000_000 + "</script>"


def weather(seed: int, *, warmer: float = 0.0, ewr: float = 0.5) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "temp": draw.normal(50 + warmer, 10, ROWS),
            "origin": np.where(draw.random(ROWS) < ewr, "EWR", "JFK"),
            "hour": draw.integers(5, 23, ROWS),
        }
    )


def scored(seed: int, *, promise: float = 0.0, days: int = 20) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    score = draw.random(ROWS) * 0.8
    late = draw.random(ROWS) < score
    day = np.arange(ROWS) % days
    return pl.DataFrame({"is_late": late, "score": score + promise, "day": day})


def test_equal_columns_have_an_index_of_zero():
    frame = weather(0)
    assert psi(frame["temp"], frame["temp"]) == 0.0
    assert psi(frame["origin"], frame["origin"]) == 0.0


def test_the_index_is_that_of_the_formula():
    reference, current = pl.Series([0] * 50 + [1] * 50), pl.Series([0] * 80 + [1] * 20)
    wanted = (0.8 - 0.5) * math.log(0.8 / 0.5) + (0.2 - 0.5) * math.log(0.2 / 0.5)
    assert psi(reference, current) == pytest.approx(wanted)


def test_samples_of_one_distribution_stay_below_a_hundredth_and_a_shift_does_not():
    assert psi(weather(0)["temp"], weather(1)["temp"]) < 0.02
    assert psi(weather(0)["temp"], weather(1, warmer=10)["temp"]) > 0.5


def test_new_values_and_missing_values_are_drift():
    assert psi(pl.Series(["a"] * 100), pl.Series(["a"] * 90 + ["b"] * 10)) > 0.5
    assert psi(weather(0)["temp"], pl.Series([None] * 500 + [50.0] * 500)) > 1
    assert psi(pl.Series([1.0] * 100), pl.Series([0.5] * 100)) > 1
    assert psi(pl.Series([None, 1.0]), pl.Series([float("nan"), 1.0], strict=False)) >= 0


def test_a_column_that_is_null_throughout_drifts_once_it_is_filled():
    nothing = pl.Series([None] * 100, dtype=pl.Float64)
    assert psi(nothing, nothing) == 0.0
    assert psi(nothing, pl.Series([1.0] * 100)) > 1


def test_season_is_measured_and_does_not_count():
    report = drift(
        weather(0),
        weather(1, warmer=30, ewr=0.9),
        columns=["temp", "origin", "hour"],
        seasonal=["temp"],
    )
    assert report.psi["temp"] > 1
    assert report.counted == ("origin", "hour")
    assert report.drifted == ("origin",)
    assert report.share_drifted == 0.5
    assert report.psi_max == report.psi["origin"]
    assert (report.rows_reference, report.rows_current) == (ROWS, ROWS)


def test_where_only_season_is_measured_nothing_drifts():
    report = drift(weather(0), weather(1, warmer=30), columns=["temp"], seasonal=["temp"])
    assert (report.share_drifted, report.psi_max, report.drifted) == (0.0, 0.0, ())


def test_drift_needs_rows_and_columns():
    with pytest.raises(EvaluationError, match="the current frame of a drift report has no rows"):
        drift(weather(0), weather(0).head(0), columns=["temp"])
    with pytest.raises(ColumnsMissingError, match="The reference has no column gust"):
        drift(weather(0), weather(0), columns=["gust"])


def test_intervals_hold_the_measured_value_and_repeat():
    frame = scored(0)
    report = performance(frame["is_late"], frame["score"], blocks=frame["day"])
    assert report == performance(frame["is_late"], frame["score"], blocks=frame["day"])
    assert report.blocks == 20
    for interval in report.intervals.values():
        assert interval.low < interval.value < interval.high
    assert not report.calibration_gap.is_above(0)


def test_scores_that_promise_too_much_are_found_with_confidence():
    frame = scored(0, promise=0.1)
    gap = performance(frame["is_late"], frame["score"], blocks=frame["day"]).calibration_gap
    assert gap.is_above(0.05)
    assert not gap.is_below(0.05)


def test_intervals_over_blocks_are_wider_where_rows_of_a_block_agree():
    draw = np.random.default_rng(0)
    day = np.repeat(np.arange(20), 100)
    late = draw.random(20)[day] < 0.5
    alone, together = (
        performance(late, np.full(ROWS, 0.5), blocks=blocks).calibration_gap
        for blocks in (None, day)
    )
    assert together.high - together.low > 4 * (alone.high - alone.low)


def test_one_kind_of_label_has_no_interval_of_its_ranking():
    report = performance([0, 0, 0], [0.1, 0.2, 0.3])
    assert math.isnan(report.auc.value)
    assert math.isnan(report.auc.low)
    assert report.brier.low <= report.brier.high


def test_blocks_must_be_as_many_as_rows():
    with pytest.raises(EvaluationError, match="1 blocks for 2 rows"):
        performance([0, 1], [0.1, 0.9], blocks=["2013-01-01"])


def test_a_page_lies_under_the_folder_and_its_address_leads_there(tmp_path: Path) -> None:
    address = write_page(tmp_path, "flights/feature_drift/2013-07-01", "<p>ä</p>")
    page = tmp_path / "flights" / "feature_drift" / "2013-07-01.html"
    assert address == page.as_uri()
    assert page.read_text(encoding="utf-8") == "<p>ä</p>"
    assert (
        write_page(tmp_path, "top", "new", base_url="http://host:1/pages/")
        == "http://host:1/pages/top.html"
    )


def test_writing_a_page_again_replaces_it(tmp_path: Path) -> None:
    write_page(tmp_path, "top", "old")
    write_page(tmp_path, "top", "new")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["new"]


def test_long_scripts_lie_once_beside_the_pages(tmp_path: Path) -> None:
    for name in ("a/b/one", "two"):
        write_page(tmp_path, name, f"<head>{LONG_SCRIPT}<script>short()</script></head>")
    shared = list((tmp_path / "_shared").iterdir())
    assert len(shared) == 1
    assert (
        f'<script src="../../_shared/{shared[0].name}" charset="utf-8"></script><script>short()'
        in (tmp_path / "a/b/one.html").read_text()
    )
    assert f'<script src="_shared/{shared[0].name}"' in (tmp_path / "two.html").read_text()


@pytest.mark.parametrize(
    "name", ["", "../up", "/etc/passwd", "a//b", "a b", "_shared/x", ".hidden", "a/..", "ü"]
)
def test_names_that_leave_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PageNameError, match="cannot name a page"):
        write_page(tmp_path, name, "")
    assert list(tmp_path.iterdir()) == []


def test_pages_are_served_with_their_shared_scripts(tmp_path: Path) -> None:
    write_page(tmp_path, "flights/drift", f"<head>{LONG_SCRIPT}</head>")
    script = next((tmp_path / "_shared").iterdir()).name
    with page_server(tmp_path) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        root = f"http://127.0.0.1:{server.server_port}"
        with urllib.request.urlopen(f"{root}/flights/drift.html") as answer:  # noqa: S310 - this test's own server
            assert b"_shared/" in answer.read()
        with urllib.request.urlopen(f"{root}/_shared/{script}") as answer:  # noqa: S310 - this test's own server
            assert len(answer.read()) == 1_000_000
        server.shutdown()


def test_the_verdict_of_a_drift_report_stands_above_the_pictures() -> None:
    columns = ["temp", "origin", "hour"]
    found = drift(weather(0), weather(1, warmer=30), columns=columns, seasonal=["hour"])
    page = headed("<html><body class='x'><p>pictures</p></body></html>", drift_verdict(found, 0.3))
    assert page.index("<h1>Drift") < page.index("pictures")
    assert (
        "1 of the 2 columns that count moved by 0.2 or more, a share of 0.50, which is too much"
        in page
    )
    assert f"{found.psi['temp']:.3f}" in page
    assert page.count("seasonal: does not count") == 1
    assert "which is fine" in drift_verdict(found, 0.6)


@pytest.mark.slow
def test_evidently_draws_drift_and_performance(tmp_path: Path) -> None:
    html = drift_html(weather(0), weather(1, warmer=30), columns=["temp", "origin", "hour"])
    assert "temp" in html
    assert "<section" in headed(html, "<section></section>")
    write_page(tmp_path, "drift", html)
    assert (tmp_path / "drift.html").stat().st_size < 1_000_000
    frame = scored(0).with_columns(pl.when(pl.col("day") > 0).then("is_late"))
    html = performance_html(frame, scored(1), label="is_late", score="score")
    assert "drawDashboard" in html
    assert "drawDashboard" in performance_html(frame, label="is_late", score="score")


def off(gap: float, *, days: int = 20, seed: int = 3):
    """Performance of scores that promise ``gap`` too much, and the frame."""
    frame = scored(seed, promise=gap, days=days).with_columns(pl.col("score").clip(0, 1))
    return performance(frame["is_late"], frame["score"], blocks=frame["day"])


PROMISED = {"brier": 0.18, "calibration_gap": -0.01}


def test_scores_that_hold_what_was_promised_pass():
    found = off(0.0)
    assert brier_kept(found, PROMISED, Tolerance()).holds
    assert calibration_kept(found, PROMISED, Tolerance()).holds


@pytest.mark.parametrize("gap", [0.2, -0.2])
def test_a_gap_that_is_surely_beyond_the_tolerance_fails_on_either_side(gap):
    kept = calibration_kept(off(gap), PROMISED, Tolerance())
    assert not kept.holds
    assert "surely beyond the limit 0.0600" in kept.reason
    assert kept.numbers["limit"] == pytest.approx(0.06)


def test_a_brier_score_that_is_surely_worse_than_promised_fails():
    kept = brier_kept(off(0.0), {"brier": 0.1}, Tolerance())
    assert not kept.holds
    assert kept.numbers["low"] > kept.numbers["limit"] == pytest.approx(0.13)


def test_a_difference_that_may_be_chance_does_not_fail():
    """The value lies beyond the limit, and the interval reaches back over it."""
    found = off(0.0)
    limit = found.brier.value - 1e-4
    kept = brier_kept(found, {"brier": limit - 0.03}, Tolerance())
    assert found.brier.value > limit > found.brier.low
    assert kept.holds
    assert "not surely beyond" in kept.reason


def test_a_few_days_do_not_fail_whatever_they_say():
    found = off(0.2, days=6)
    assert calibration_kept(found, PROMISED, Tolerance()).holds
    assert not calibration_kept(found, PROMISED, Tolerance(min_days=6)).holds


def test_a_model_that_promised_nothing_breaks_nothing():
    assert brier_kept(off(0.2), {}, Tolerance()).holds
    assert calibration_kept(off(0.2), {}, Tolerance()).holds


def test_a_note_says_its_text_and_nothing_else():
    assert note_html("A < B", "<none> yet").count("&lt;") == 3
