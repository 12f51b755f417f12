"""Reads of 3 views of 30 features online: the direct reader, Feast's API, and what Redis takes by itself.

All stores hold the same values, written through Feast. Every round asks each contender in an order of its own, so that a
slow minute of the machine hits them all: once untimed, because the one before left cold caches, then timed, five times
where it is quick. A ratio is the median of the rounds' ratios, a round's time the median of its calls.

Contenders: ``direct`` (columns and masks of all 90 features), ``feast_api`` (``get_online_features`` on lakeline's store),
``feast_own`` (the same on Feast's own store), and of Redis alone, with nothing decoded: ``bare`` (HMGET of the packed rows
that the direct reader reads) and ``bare_fields`` (HMGET of the 90 fields that Feast's own store keeps for each account).
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.harness import ratio, report
from benchmarks.online.world import (
    PROJECT,
    VIEWS,
    entity_names,
    feature_names,
    fill,
    open_repository,
    references,
)
from tests.redis_server import RedisServer, redis_server

if TYPE_CHECKING:
    from feast import FeatureStore

ROUNDS = {1: 150, 25: 80, 100: 50}
WARM_UP = 5
CALLS = 5
MOST_OF_BARE, LEAST_OF_FEAST = 1.5, 10.0

Ask = Callable[[list[str]], Any]
"""Reads all features of some accounts."""


def main() -> int:
    """Run and report."""
    with tempfile.TemporaryDirectory(prefix="bench-online-") as folder, redis_server() as server:
        asked, checked = _contenders(Path(folder), server)
        equal = {f"{rows}_rows": _same_values(checked, rows) for rows in ROUNDS}
        times = {rows: _timed(asked, rows, rounds) for rows, rounds in ROUNDS.items()}
    ratios = {f"{rows}_rows": _ratios(found) for rows, found in times.items()}
    figures = {
        "equal_values": equal,
        "ratios": ratios,
        "us": {f"{rows}_rows": {name: _spread(each) for name, each in found.items()} for rows, found in times.items()},
    }  # fmt: skip
    reach = {
        "ratios.*.redis_direct_of_bare": f"<= {MOST_OF_BARE}",
        "ratios.*.redis_feast_own_of_direct": f">= {LEAST_OF_FEAST}",
        "ratios.*.sqlite_feast_own_of_direct": f">= {LEAST_OF_FEAST}",
        "equal_values": "all",
    }
    met = all(equal.values()) and all(map(_is_met, ratios.values()))
    return report("online", figures, reach, met=met)


def _is_met(found: Mapping[str, float]) -> bool:
    rivals = ("redis_feast_own_of_direct", "sqlite_feast_own_of_direct")
    return found["redis_direct_of_bare"] <= MOST_OF_BARE and all(
        found[name] >= LEAST_OF_FEAST for name in rivals
    )


def _contenders(folder: Path, server: RedisServer) -> tuple[dict[str, Ask], dict[str, Ask]]:
    """What is timed, and of it what gives values to compare."""
    ours = "{{type: lakeline.feast.online.LakelineOnlineStore, url: '{}'}}"
    lakeline = {
        "redis": open_repository(folder / "a", ours.format(server.url(1))),
        "sqlite": open_repository(folder / "b", ours.format(f"sqlite:///{folder}/online.db")),
    }
    feast = {
        "redis": open_repository(folder / "c", f"{{type: redis, connection_string: 'localhost:{server.port},db=2'}}"),
        "sqlite": open_repository(folder / "d", f"{{type: sqlite, path: {folder}/feast.db}}"),
    }  # fmt: skip
    valued: dict[str, Ask] = {}
    for engine in ("redis", "sqlite"):
        for store in (lakeline[engine], feast[engine]):
            fill(store)
        valued[f"{engine}_direct"] = _direct(lakeline[engine])
        valued[f"{engine}_feast_api"] = _feast(lakeline[engine])
        valued[f"{engine}_feast_own"] = _feast(feast[engine])
    bare = {
        "redis_bare": _bare(lakeline["redis"], server),
        "redis_bare_fields": _bare_fields(server),
    }
    return valued | bare, valued


def _direct(store: "FeatureStore") -> Ask:
    from lakeline.feast.online import online_store_of, view_of
    from lakeline.online import Reader

    wanted = [(view_of(store.get_feature_view(view)), feature_names(view)) for view in VIEWS]
    reader = Reader(wanted, online_store_of(store.config))

    def ask(accounts: list[str]) -> dict[str, Any]:
        answer = reader.read({"account": accounts})
        assert len(answer.missing) == len(answer.expired) == len(VIEWS) * 30
        return answer.columns

    return ask


def _feast(store: "FeatureStore") -> Ask:
    names = references()
    return lambda accounts: store.get_online_features(
        names, entity_rows=[{"account": account} for account in accounts]
    )


def _bare(store: "FeatureStore", server: RedisServer) -> Ask:
    """HMGET of the rows of each view, sent together."""
    from lakeline.feast.online import view_of

    client = server.client(1)
    digests = [(view, view_of(store.get_feature_view(view)).layout.digest) for view in VIEWS]
    keys = [f"{PROJECT}:{{{view}}}:{digest}" for view, digest in digests]
    assert all(client.exists(key) for key in keys)

    def ask(accounts: list[str]) -> Any:
        pipe = client.pipeline(transaction=False)
        for key in keys:
            pipe.hmget(key, accounts)
        return pipe.execute()

    return ask


def _bare_fields(server: RedisServer) -> Ask:
    """HMGET of all fields of each account as Feast's own store keeps them, sent together."""
    from feast.infra.online_stores.helpers import _mmh3, _redis_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    client = server.client(2)
    fields = [_mmh3(f"{view}:{name}") for view in VIEWS for name in feature_names(view)]
    keys = {
        account: _redis_key(
            PROJECT,
            EntityKey(join_keys=["account"], entity_values=[Value(string_val=account)]),
            entity_key_serialization_version=3,
        )
        for account in entity_names()
    }
    assert None not in client.hmget(keys[entity_names()[0]], fields)

    def ask(accounts: list[str]) -> Any:
        pipe = client.pipeline(transaction=False)
        for account in accounts:
            pipe.hmget(keys[account], fields)
        return pipe.execute()

    return ask


def _same_values(valued: Mapping[str, Ask], rows: int) -> bool:
    """Whether every contender gives equal values, to the bit, for one request."""
    accounts = entity_names()[7 : 7 + rows]
    found = {}
    for name, ask in valued.items():
        answer = ask(accounts)
        columns = answer if isinstance(answer, dict) else answer.to_dict()
        found[name] = {f: [float(v) for v in columns[f]] for view in VIEWS for f in feature_names(view)}  # fmt: skip
    first = next(iter(found.values()))
    return all(each == first for each in found.values())


def _timed(asked: Mapping[str, Ask], rows: int, rounds: int) -> dict[str, list[list[float]]]:
    """Microseconds of each contender's calls in each round."""
    random, accounts = np.random.default_rng(rows), entity_names()
    found: dict[str, list[list[float]]] = {name: [] for name in asked}
    for number in range(WARM_UP + rounds):
        for name in random.permutation(list(asked)):
            calls = 1 if "feast" in name else CALLS
            drawn = random.integers(0, len(accounts), (1 + calls, rows))
            each = [_call_us(asked[name], [accounts[place] for place in places]) for places in drawn]  # fmt: skip
            if number >= WARM_UP:
                found[name].append(each[1:])
    medians = {name: round(_spread(each)["p50"]) for name, each in found.items()}
    print(rows, medians, file=sys.stderr)
    return found


def _call_us(ask: Ask, accounts: list[str]) -> float:
    start_s = time.perf_counter()
    ask(accounts)
    return (time.perf_counter() - start_s) * 1e6


def _ratios(found: Mapping[str, Sequence[Sequence[float]]]) -> dict[str, float]:
    pairs = {
        "redis_direct_of_bare": ("redis_direct", "redis_bare"),
        "redis_direct_of_bare_fields": ("redis_direct", "redis_bare_fields"),
        "redis_feast_own_of_direct": ("redis_feast_own", "redis_direct"),
        "sqlite_feast_own_of_direct": ("sqlite_feast_own", "sqlite_direct"),
        "redis_feast_api_of_feast_own": ("redis_feast_api", "redis_feast_own"),
        "sqlite_feast_api_of_feast_own": ("sqlite_feast_api", "sqlite_feast_own"),
    }
    rounds = {name: [statistics.median(each) for each in calls] for name, calls in found.items()}
    return {name: ratio(rounds[one], rounds[other]) for name, (one, other) in pairs.items()}


def _spread(rounds: Sequence[Sequence[float]]) -> dict[str, float]:
    found = [each for calls in rounds for each in calls]
    return {"p50": float(np.percentile(found, 50)), "p99": float(np.percentile(found, 99))}


if __name__ == "__main__":
    sys.exit(main())
