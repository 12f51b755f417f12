"""What the Dagster UI shows of a built state in a real browser, and that a backfill from it works."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from docs.screenshots import CHROMIUM, PICTURES, browser_page, settle, take, ui
from resources.settings import PREFIX

ROOT = Path(__file__).parents[1]
FIRST, LAST = "2013-01-01", "2013-02-12"
NEW_DAYS = ("2013-02-13", "2013-02-14")
BACKFILL_S = 240
GROUPS = (
    "flights_raw",
    "flights_clean",
    "flights_features",
    "flights_models",
    "flights_monitoring",
)
DAILY = (
    "departures",
    "weather",
    "departures_clean",
    "weather_clean",
    "origin_backlog",
    "carrier_punctuality",
    "weather_at_origin",
    "training_set",
    "predictions",
)
LAUNCH = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}"""
MATERIALIZE = """
mutation($path: [String!]!) {
  launchRun(executionParams: {
    selector: {
      repositoryLocationName: "lakeline", repositoryName: "__repository__", jobName: "__ASSET_JOB",
      assetSelection: [{path: $path}], assetCheckSelection: []
    }
    runConfigData: {}
  }) { __typename ... on PythonError { message } ... on RunConfigValidationInvalid { errors { message } } }
}"""
NEWEST_RUN = "{ runsOrError(limit: 1) { ... on Runs { results { status } } } }"
BACKFILL = """
query($id: String!) {
  partitionBackfillOrError(backfillId: $id) {
    ... on PartitionBackfill { status runs(limit: 20) { status tags { key value } } }
  }
}"""

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Served:
    """A UI that is up."""

    address: str
    state: Path

    def ask(self, query: str, **variables: Any) -> Any:
        """The answer of its GraphQL, under ``data``."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.address}/graphql", body, headers)  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.load(answer)["data"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The UI on six weeks of the whole graph."""
    if not any(Path(one).exists() for one in CHROMIUM):
        pytest.skip("The tests of the UI need Chromium. Run: sudo apt-get install chromium")
    state = tmp_path_factory.mktemp("state")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(PREFIX)]:
            patch.delenv(name)
        patch.setenv(f"{PREFIX}STATE", str(state))
        patch.setenv(f"{PREFIX}REPORTS_PORT", str(free_port()))
        command = [
            sys.executable,
            "-m",
            "lakeline.cli",
            "demo",
            "--no-ui",
            "--from",
            FIRST,
            "--to",
            LAST,
        ]
        subprocess.run(command, cwd=ROOT, check=True)
        with ui(free_port()) as address:
            yield Served(address=address, state=state)


@pytest.fixture(scope="module")
def page(served: Served) -> Iterator[Any]:
    """A browser that has seen the UI before."""
    with browser_page(1600, 1000) as found:
        settle(found, served.address)
        yield found


def test_the_lineage_folds_into_the_five_groups(served, page):
    page.goto(f"{served.address}/asset-groups")
    for group in GROUPS:
        page.get_by_text(group, exact=True).first.wait_for(timeout=60_000)


def test_an_asset_shows_its_columns_with_units_and_rules(served, page):
    page.goto(f"{served.address}/assets/flights/weather_clean?view=overview")
    page.get_by_text("wind_speed_mph").first.wait_for(timeout=60_000)
    for said in ("unit: mph", "knowledge_time", "non-nullable", "network-ops", "Row count"):
        page.get_by_text(said).first.wait_for(timeout=30_000)


def test_checks_show_their_reasons(served, page):
    page.goto(f"{served.address}/assets/flights/weather_clean?view=checks&checkDetail=contract")
    page.get_by_text("wind_speed_mph=1048").first.wait_for(timeout=60_000)
    page.get_by_text("value removed, row kept in quarantine").first.wait_for(timeout=30_000)
    page.get_by_text("every_hour").first.wait_for(timeout=30_000)


def test_the_link_to_a_report_opens_the_report(served, page):
    page.goto(f"{served.address}/assets/flights/feature_drift?view=overview")
    link = page.locator("a[href$='flights/feature_drift.html']").first
    link.wait_for(timeout=60_000)
    page.goto(link.get_attribute("href"))
    page.wait_for_function("document.body.innerText.length > 200", timeout=60_000)


def test_the_health_page_shows_a_table_and_a_picture(served, page):
    launched = served.ask(MATERIALIZE, path=["flights", "health"])["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    deadline = time.monotonic() + BACKFILL_S
    while (status := served.ask(NEWEST_RUN)["runsOrError"]["results"][0]["status"]) != "SUCCESS":
        assert status != "FAILURE" and time.monotonic() < deadline, status  # noqa: PT018 - one condition
        time.sleep(2)
    page.goto(f"{served.address}/assets/flights/health?view=overview")
    page.get_by_text("Show Markdown").first.click(timeout=60_000)
    page.get_by_text("complete up to").first.wait_for(timeout=30_000)
    picture = page.locator("img[alt='watermarks over time']").first
    picture.wait_for(timeout=30_000)
    assert picture.evaluate("image => image.naturalWidth") > 500


def test_every_picture_of_the_docs_can_be_taken(served, page, tmp_path):
    for picture in PICTURES:
        assert take(page, served.address, picture, tmp_path).stat().st_size > 20_000


def test_a_backfill_from_the_ui_builds_the_chain_in_one_run(served):
    params = {
        "assetSelection": [{"path": ["flights", name]} for name in DAILY],
        "partitionNames": list(NEW_DAYS),
        "fromFailure": False,
        "allPartitions": False,
    }
    launched = served.ask(LAUNCH, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    deadline = time.monotonic() + BACKFILL_S
    found: dict[str, Any] = {"status": "REQUESTED"}
    while found["status"] == "REQUESTED" and time.monotonic() < deadline:
        time.sleep(2)
        found = served.ask(BACKFILL, id=launched["backfillId"])["partitionBackfillOrError"]
    assert found["status"] == "COMPLETED_SUCCESS", found
    assert [run["status"] for run in found["runs"]] == ["SUCCESS"]
