"""Fixtures that start real servers, and the rule that a test of them is never skipped where they must be there."""

import importlib.util
import os
import uuid
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lakeline.lake import Lake
from lakeline.ledger import Ledger
from lakeline.online import OnlineStore, open_store
from tests.flights_state import FlightsState, build_flights, require_manifest
from tests.lakes import Store, embedded, on_servers
from tests.redis_server import RedisServer, redis_server
from tests.services import S3, Postgres, ServiceMissingError, postgres, s3_client, seaweedfs

REQUIRED = "LAKELINE_REQUIRE_SERVICES"
SERVER_MARKS = ("services", "browser", "kubernetes")
NETWORKS = Path(__file__).parents[1] / "platform" / "lakeline" / "neural"
HAS_TORCH = importlib.util.find_spec("torch") is not None


def pytest_configure(config: pytest.Config) -> None:
    """Leave out the doctests of modules that subclass torch's classes, where torch is not installed."""
    if not HAS_TORCH and not os.environ.get(REQUIRED):
        config.option.ignore = [*(config.option.ignore or []), str(NETWORKS)]


def pytest_report_header() -> str:
    """Say at the top what is left out."""
    return "" if HAS_TORCH else "torch is not installed, so no test of networks: make setup-torch"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One Postgres for all tests."""
    try:
        with postgres() as server:
            yield server
    except ServiceMissingError as error:
        pytest.skip(str(error))


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """The URL of a fresh database."""
    with postgres_server.database() as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a fresh database for a ledger, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    """A fresh ledger, on each engine."""
    opened = Ledger(ledger_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """One S3 server for all tests."""
    try:
        with seaweedfs() as store:
            yield store
    except ServiceMissingError as error:
        pytest.skip(str(error))


@pytest.fixture
def s3(s3_server: S3) -> Iterator[S3]:
    """A fresh bucket; deleted afterwards, because the server keeps volumes for each, and has so many."""
    store = replace(s3_server, bucket=f"test-{uuid.uuid4().hex[:12]}")
    client = s3_client(store)
    client.create_bucket(Bucket=store.bucket)
    yield store
    client.delete_bucket(Bucket=store.bucket)  # this server's deletes what is in it too


@pytest.fixture(params=["embedded", pytest.param("servers", marks=pytest.mark.services)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """Where a fresh lake is: a folder with SQLite, and once more on Postgres and S3."""
    if request.param == "embedded":
        return embedded(tmp_path)
    return on_servers(
        tmp_path, request.getfixturevalue("postgres_url"), request.getfixturevalue("s3")
    )


@pytest.fixture
def lake_and_ledger(store: Store) -> Iterator[tuple[Lake, Ledger]]:
    """A fresh lake and ledger, on each kind of store."""
    ledger = store.ledger()
    yield store.lake(), ledger
    ledger.close()


@pytest.fixture(scope="session")
def redis_on_loopback() -> Iterator[RedisServer]:
    """One Redis for all tests."""
    try:
        with redis_server() as server:
            yield server
    except ServiceMissingError as error:
        pytest.skip(str(error))


@pytest.fixture
def redis_url(redis_on_loopback: RedisServer) -> str:
    """The url of an empty Redis."""
    redis_on_loopback.client().flushall()
    return redis_on_loopback.url()


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=pytest.mark.services)])
def online_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The url of an empty online store, on each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/online.db"
    return str(request.getfixturevalue("redis_url"))


@pytest.fixture
def online(online_url: str) -> Iterator[OnlineStore]:
    """An empty online store, on each engine."""
    store = open_store(online_url)
    yield store
    store.close()


@pytest.fixture(scope="session", autouse=True)
def _manifest() -> None:
    """What loading the definitions needs; a fresh clone has none."""
    require_manifest()


@pytest.fixture(scope="session")
def february(tmp_path_factory: pytest.TempPathFactory) -> FlightsState:
    """Five days around the impossible wind."""
    return build_flights(tmp_path_factory.mktemp("february"), "2013-02-10", "2013-02-14")


@pytest.fixture(scope="session")
def november(tmp_path_factory: pytest.TempPathFactory) -> FlightsState:
    """Three days around the hour that comes twice."""
    return build_flights(tmp_path_factory.mktemp("november"), "2013-11-02", "2013-11-04")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """A skipped test of a server fails where ``LAKELINE_REQUIRE_SERVICES`` is set."""
    outcome = yield
    report = outcome.get_result()
    of_server = any(item.get_closest_marker(mark) for mark in SERVER_MARKS)
    if report.skipped and of_server and os.environ.get(REQUIRED):
        report.outcome = "failed"
        report.longrepr = f"Skipped, but {REQUIRED} is set: {report.longrepr[-1]}"
