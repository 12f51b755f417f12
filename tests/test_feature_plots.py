"""Pictures of features over time."""

import base64
import re
import xml.etree.ElementTree as ET

import numpy as np
import polars as pl
import pytest

from lakeline.features.plots import (
    LEFT_PX,
    MOST_POINTS,
    RIGHT_PX,
    WIDTH_PX,
    NothingToDrawError,
    feature_markdown,
    feature_svg,
)
from lakeline.features.statistics import FeatureStatistics, summarise_column

SVG = "{http://www.w3.org/2000/svg}"


def day(mean: float, nulls: int = 0) -> FeatureStatistics:
    values = np.random.default_rng(0).normal(mean, 1.0, 500).tolist()
    return summarise_column(pl.Series("delay", values + [None] * nulls, dtype=pl.Float64))


def drawn(partitions: dict[str, FeatureStatistics]) -> ET.Element:
    return ET.fromstring(feature_svg("delay <min>", partitions))  # noqa: S314 - our own picture


def points(found: ET.Element, tag: str) -> list[tuple[float, float]]:
    pairs = (
        pair.split(",") for one in found.iter(SVG + tag) for pair in one.attrib["points"].split()
    )
    return [(float(x), float(y)) for x, y in pairs]


def test_the_median_follows_the_values_from_left_to_right():
    found = drawn({f"2013-01-0{n}": day(mean=n) for n in range(1, 6)})

    line = points(found, "polyline")
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    assert (line[0][0], line[-1][0]) == (LEFT_PX, WIDTH_PX - RIGHT_PX)
    assert [y for _, y in line] == sorted((y for _, y in line), reverse=True)


def test_the_band_encloses_the_median():
    found = drawn({f"day {n}": day(mean=n) for n in range(4)})

    line, band = points(found, "polyline"), points(found, "polygon")
    upper, lower = band[:4], band[4:][::-1]
    assert all(
        above < y < below for (_, above), (_, y), (_, below) in zip(upper, line, lower, strict=True)
    )


def test_a_partition_of_nulls_leaves_a_gap_and_a_full_bar():
    nothing = summarise_column(pl.Series("delay", [None] * 5, dtype=pl.Float64))

    found = drawn({"a": day(1), "b": day(2), "c": nothing, "d": day(3), "e": day(4, nulls=500)})

    bars = [float(one.attrib["height"]) for one in found.iter(SVG + "rect")][1:]
    assert len(list(found.iter(SVG + "polyline"))) == 2
    assert bars == [22.0, 11.0]
    assert "null ≤ 100.0%" in [one.text for one in found.iter(SVG + "text")]


def test_one_partition_alone_is_a_point():
    found = drawn({"2013-01-01": day(1)})

    assert len(list(found.iter(SVG + "circle"))) == 1


def test_a_text_has_no_band_but_its_nulls():
    words = summarise_column(pl.Series("origin", ["JFK", None]))

    found = drawn({"a": words, "b": words})

    texts = [one.text for one in found.iter(SVG + "text")]
    assert "no numbers to draw" in texts
    assert "null ≤ 50.0%" in texts


def test_ten_years_of_days_are_thinned_and_end_with_the_newest():
    one = day(1)

    found = drawn({str(n): one for n in range(3650)})

    assert len(points(found, "polyline")) <= MOST_POINTS
    assert [text.text for text in found.iter(SVG + "text")][-2:] == ["0", "3649"]


def test_a_constant_feature_is_a_flat_line():
    seven = summarise_column(pl.Series("seats", [7, 7, 7]))

    found = drawn({"a": seven, "b": seven})

    assert len({y for _, y in points(found, "polyline")}) == 1


def test_the_name_of_a_feature_is_escaped():
    assert next(drawn({"a": day(1)}).iter(SVG + "text")).text == "delay <min>"


def test_markdown_carries_the_picture_within_itself():
    partitions = {"a": day(1), "b": day(2)}

    page = feature_markdown("delay", partitions)

    found = re.fullmatch(r"!\[delay over time\]\(data:image/svg\+xml;base64,(.*)\)", page)
    assert found is not None
    assert base64.b64decode(found[1]).decode() == feature_svg("delay", partitions)


def test_no_partitions_are_refused():
    with pytest.raises(NothingToDrawError) as raised:
        feature_svg("delay", {})
    assert str(raised.value) == (
        "There is nothing to draw of feature delay: none of its partitions is measured. "
        "Build some of its feature view first."
    )
