"""The health page of a domain: the facts of `lakeline status`, told when something has changed, and a picture."""

import base64
import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import dagster as dg
import pytest

from lakeline.domain.health import EVERY, TOLD, tell_pages
from lakeline.domain.node import nodes_of
from lakeline.freshness.budget import Budget
from lakeline.freshness.check_states import present_states
from lakeline.freshness.decision import Decision, Plan
from lakeline.freshness.declared import graph_of
from lakeline.freshness.fresh import Freshness
from lakeline.freshness.overview import Line, causes, overview, spans
from lakeline.freshness.picture import Track, watermarks_svg
from lakeline.freshness.reasons import present_plan, said
from lakeline.ledger import State
from tests.kept_shop import DAY1, DAY2, KeptShop

NOW = dt.datetime(2024, 3, 2, 12, tzinfo=dt.UTC)
HEALTH = dg.AssetKey(["shop", "health"])
SOLD = [(f"{day}T09:00", "north", 100) for day in (DAY1, DAY2)]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[KeptShop]:
    with KeptShop(tmp_path, budget=Budget(runs=5, attempts=1)) as found:
        found.sell(SOLD[0])
        yield found


def told(shop: KeptShop) -> list[dg.AssetMaterialization]:
    """The pages that Dagster was told, newest first."""
    records = shop.storage.fetch_materializations(HEALTH, limit=50).records
    return [record.asset_materialization for record in records if record.asset_materialization]


def tree_of(svg: str | bytes) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - made here


def rows(markdown: str) -> dict[str, list[str]]:
    """Cells of the table by asset."""
    found = re.findall(r"^\| \[shop/(\w+)\]\(\S+\) \| (.*) \|$", markdown, re.M)
    return {name: cells.split(" | ") for name, cells in found}


def test_the_page_shows_what_status_shows(shop: KeptShop) -> None:
    shop.settle()
    result = dg.materialize(
        [one for one in shop.domain.assets if one.key == HEALTH],
        instance=shop.storage,
        resources=dict(shop.definitions.resources or {}),
    )
    (page,) = result.asset_materializations_for_node("shop__health")
    shown = rows(str(page.metadata["health"].value))
    graph = graph_of(nodes_of(shop.domain.assets))
    plan = present_plan(graph, shop.ledger, shop.clock.now())
    for line in overview(graph, shop.ledger, plan):
        name = line.asset.partition("/")[2]
        assert shown[name][3] == f"{line.consistent} of {line.partitions}"
        assert shown[name][4] == line.next == "nothing"
    assert shown["sales"][:3] == ["2024-03-02 00:00", "72h", "17%"]
    assert page.metadata["assets_at_rest"].value == 5
    assert page.metadata["summary"].value == "2 of 2 promises kept, 5 of 5 assets at rest"


def test_the_sensor_tells_the_page_when_a_check_has_changed_and_not_more_often_than_it_may(
    shop: KeptShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.tick()
    shop.tick()
    assert len(told(shop)) == 1
    shop.settle()  # now consistent, but so soon after that it has to wait
    assert len(told(shop)) == 1
    monkeypatch.setattr("lakeline.domain.health.EVERY", dt.timedelta(0))
    shop.restart()
    shop.tick()
    assert len(told(shop)) == 2
    assert rows(str(told(shop)[0].metadata["health"].value))["sales"][4] == "nothing"
    shop.tick()
    assert len(told(shop)) == 2


def test_a_page_that_had_to_wait_is_told_when_its_time_has_come(shop: KeptShop) -> None:
    shop.tick()
    shop.settle()
    graph = graph_of(nodes_of(shop.domain.assets))
    plan = present_plan(graph, shop.ledger, shop.clock.now())
    states = present_states(graph, shop.ledger, shop.clock.now())
    (held,) = shop.ledger.states(name=TOLD)
    last = dt.datetime.fromisoformat(held.detail["told_ts"])
    for after, expected in ((EVERY / 2, []), (EVERY, ["shop/health"]), (2 * EVERY, [])):
        found = tell_pages(
            shop.storage, graph, shop.ledger, plan, pages=[HEALTH], states=states, wall=last + after
        )
        assert found == expected


def test_reconciling_leaves_the_page_alone(shop: KeptShop) -> None:
    assert "shop/health" not in graph_of(nodes_of(shop.domain.assets)).vertices
    (request,) = shop.tick().run_requests or []
    assert HEALTH not in (request.asset_selection or ())


def test_what_was_given_up_stands_on_the_page_with_what_it_holds_up(shop: KeptShop) -> None:
    shop.trouble.failing["totals"] = {DAY1}
    shop.settle()
    graph = graph_of(nodes_of(shop.domain.assets))
    plan = present_plan(graph, shop.ledger, shop.clock.now(), budget=shop.budget)
    lines = {one.asset: one for one in overview(graph, shop.ledger, plan)}
    assert lines["shop/totals"].next == "1 given up"
    assert (lines["shop/totals"].consistent, lines["shop/totals"].partitions) == (0, 1)
    assert lines["shop/totals"].level == "bad"
    assert lines["shop/sales"].next == "nothing"
    (cause,) = causes(plan)
    assert cause.place == f"shop/totals[{DAY1}]"
    assert f"cannot count {DAY1}" in cause.decision.reason


def test_a_source_that_cannot_be_read_stands_on_the_page(shop: KeptShop) -> None:
    shop.till.is_broken = True
    shop.tick()
    assert "the till does not answer" in str(told(shop)[0].metadata["health"].value)


def test_the_picture_is_part_of_the_page_and_has_a_band_for_each_asset_with_a_watermark(
    shop: KeptShop,
) -> None:
    shop.settle()
    shop.ledger.set_states([State(asset="shop/health", name=TOLD, state="", detail={"told_ts": "2024-01-01T00:00:00+00:00"})], NOW)  # fmt: skip
    shop.tick()
    markdown = str(told(shop)[0].metadata["health"].value)
    (encoded,) = re.findall(r"!\[[^]]*\]\(data:image/svg\+xml;base64,([^)]+)\)", markdown)
    texts = [one.text for one in tree_of(base64.b64decode(encoded)).iter() if one.text]
    assert {"sales", "totals", "moving"} <= set(texts)
    assert "2024-03-02 00:00" in texts


# --- parts ------------------------------------------------------------------------------------


def test_the_line_rises_with_each_publish_and_a_late_day_does_not_lower_it(shop: KeptShop) -> None:
    shop.settle()
    shop.clock.at += dt.timedelta(days=1)
    shop.sell(SOLD[1])
    shop.settle()
    shop.sell((f"{DAY1}T22:00", "south", 40))
    shop.settle()
    marks = [mark for _, mark in shop.ledger.progress("shop/sales")]
    assert [f"{mark:%Y-%m-%d}" for mark in marks] == ["2024-03-02", "2024-03-03"]
    assert shop.ledger.progress("shop/sales", dt.datetime.now(dt.UTC) + dt.timedelta(days=1)) == []
    assert shop.ledger.progress("shop/unknown") == []


def test_a_picture_of_nothing_says_so_and_names_are_escaped() -> None:
    assert "nothing is published yet" in watermarks_svg([], NOW)
    track = Track(name="<b>&", points=((NOW, NOW),))
    texts = [one.text for one in tree_of(watermarks_svg([track], NOW)).iter()]
    assert "<b>&" in texts


DECISIONS = (
    Decision(action="gave_up", asset="a", partition=DAY1, reason="boom"),
    Decision(action="gave_up", asset="a", partition=DAY2, reason="boom"),
    Decision(action="blocked", asset="b", partition=DAY1, reason="a failed", by=("a", DAY1)),
    Decision(action="wait", asset="c", partition="", reason="b may change", by=("b", DAY1)),
    Decision(action="wait", asset="d", partition="", reason="it is being built", run_id="r1"),
    Decision(action="build", asset="e", partition="", reason="it was never built"),
    Decision(action="manual", asset="f", partition="", reason="it was never built"),
)


def test_each_cause_is_told_once_the_worst_first() -> None:
    found = causes(Plan(now=NOW, decisions=DECISIONS))
    assert [(one.place, one.held_up) for one in found] == [
        (f"a[{DAY1} to {DAY2}]", ("b", "c")),
        ("d", ()),
        ("f", ()),
    ]


def test_what_comes_next_is_counted_in_words() -> None:
    line = Line(freshness=Freshness(asset="a", watermark=None), partitions=9, consistent=2)
    assert line.next == "nothing"
    assert replace(line, partitions=0).next == "not due yet"
    assert replace(line, decisions=DECISIONS).next == (
        "2 given up, 1 blocked, 1 being built, 1 to build, 1 waiting, 1 left to people"
    )
    assert [replace(line, decisions=DECISIONS[n:]).level for n in (0, 4)] == ["bad", "busy"]


def test_a_reason_says_since_when_and_until_when() -> None:
    since, until = NOW - dt.timedelta(hours=2), NOW + dt.timedelta(hours=1)
    one = Decision(action="backed_off", asset="a", partition="", reason="boom", since=since, until=until)  # fmt: skip
    assert said(one, NOW) == "tried again from 2024-03-02 13:00 on: boom (since 2024-03-02 10:00)"
    assert said(DECISIONS[0], NOW) == "given up: boom"


def test_many_stretches_of_days_are_cut_short() -> None:
    assert spans([f"2024-03-{day:02}" for day in (1, 2, 4, 6, 8, 10)]) == (
        "2024-03-01 to 2024-03-02, 2024-03-04, 2024-03-06, and 2 more"
    )
