"""A booster and a network built again after its training set has lived on: days written anew, a column more, maintenance.

A year of a synthetic table, a model trained on the first half, then commits that replace days which the model learned
from, a new column by the contract's next version, a compaction that rewrites every file, and an expiry that keeps as
little as it may. The model is built again in a fresh process from the held snapshot; its bytes and its metrics must be
what was registered. Told beside it is what the hold costs, before every file was rewritten and after.
"""

import argparse
import datetime as dt
import logging
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import report
from lakeline.contract import Contract, column
from lakeline.domain import Daily, Domain
from lakeline.domain.node import node_of
from lakeline.models.booster import train_booster
from lakeline.models.rows import Rows
from lakeline.models.training import TrainedModel
from lakeline.neural.plan import Plan
from lakeline.neural.training import train_network
from lakeline.resource import Lakehouse
from lakeline.window import Window, day_start, shift

if TYPE_CHECKING:
    import dagster as dg
    import polars as pl

    from lakeline.domain.node import Node

FIRST = "2024-01-01"
DAYS, ROWS_A_DAY, COMMITS = 181, 2_000, 50
FEATURES = ("heat", "noise", "load", "age")
TABLE = "press.samples"
MODELS = ("breaks", "breaks_network")


class Sample(Contract, version="1.0"):
    """One row a machine and look."""

    event_ts: dt.datetime = column("When it was looked at", event_time=True, key=True)
    machine: int = column("Number of the machine", key=True)
    known_ts: dt.datetime = column("When it was known whether it broke")
    heat: float = column("Temperature over the usual", unit="K")
    noise: float = column("Loudness over the usual", unit="dB")
    load: float = column("Share of the rated load")
    age: float = column("Time since its last repair", unit="d")
    broke: bool = column("Label: broke within the hour")


class LaterSample(Sample, version="1.1"):
    """One row a machine and look, with what was added later."""

    site: str | None = column("Where it stands")


@dataclass(kw_only=True)
class World:
    """What the table says of each day: ``edition`` 1 is what was learned from, another one rewrites the past."""

    edition: int = 1

    def rows(self, day: str) -> "pl.DataFrame":
        """The rows of a day, the same at each call of an edition."""
        import numpy as np
        import polars as pl

        draw = np.random.default_rng([int(day.replace("-", "")), self.edition])
        heat, noise, load, age = draw.normal(size=(4, ROWS_A_DAY))
        chance = 1 / (1 + np.exp(-(1.5 * heat + 0.5 * noise * load + 0.3 * age)))
        step = dt.timedelta(seconds=80_000 / ROWS_A_DAY)
        times = [day_start(day) + i * step for i in range(ROWS_A_DAY)]
        kind = pl.Datetime("us", "UTC")
        return pl.DataFrame(
            {
                "event_ts": pl.Series(times, dtype=kind),
                "machine": range(ROWS_A_DAY),
                "known_ts": pl.Series([one + dt.timedelta(minutes=5) for one in times], dtype=kind),
                "heat": heat,
                "noise": noise,
                "load": load,
                "age": age,
                "broke": draw.random(ROWS_A_DAY) < chance,
            }
        )


def press(world: World) -> Domain:
    """The domain of the benchmark."""
    domain = Domain("press", owner="team:press", partitions=Daily(FIRST, until="2025-01-01"))

    @domain.table(contract=Sample, layer="raw")
    def samples(window: Window) -> "pl.DataFrame":
        """What the machines were like."""
        import polars as pl

        return pl.concat([world.rows(day) for day in window.partitions])

    @domain.model(
        training_set=samples,
        features=FEATURES,
        label="broke",
        at="event_ts",
        known="known_ts",
        schedule=("noise",),
    )
    def breaks(train: Rows, seed: int) -> TrainedModel:
        """Probability that a machine breaks."""
        return train_booster(train, seed=seed)

    @domain.model(
        training_set=samples,
        features=FEATURES,
        label="broke",
        at="event_ts",
        known="known_ts",
        kinds=(
            "mlflow",
        ),  # a kind "torch" is built in a process of its own, which must find this domain
    )
    def breaks_network(train: Rows, seed: int) -> TrainedModel:
        """Probability that a machine breaks, by a small network."""
        return train_network(train, Plan(seed=seed, epochs=3, config={"hidden": [32]}))

    return domain


DEFINITIONS = """
from pathlib import Path

import dagster as dg

from benchmarks.bench_reproduce import World, press
from lakeline.resource import Lakehouse

defs = dg.Definitions(assets=press(World()).assets, resources={"lakehouse": Lakehouse.in_folder(Path(__file__).parent)})
"""

PROJECT = '[tool.dg.project]\ncode_location_target_module = "press_project"\n'


def main() -> int:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--commits", type=int, default=COMMITS)
    commits = parser.parse_args().commits
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="bench-reproduce-") as scratch:
        root = Path(scratch)
        (root / "pyproject.toml").write_text(PROJECT)
        (root / "press_project.py").write_text(DEFINITIONS)
        return _report(_run(root, commits))


def _run(root: Path, commits: int) -> dict[str, Any]:
    house, world = Lakehouse.in_folder(root), World()
    domain = press(world)
    samples, *models = domain.assets[:3]
    last = shift(FIRST, DAYS - 1)
    _materialize([samples], house, (FIRST, last))
    train_s = {name_of(model): _materialize([model], house) for model in models}
    world.edition = 2
    _live_on(house, node_of(samples), world, commits)
    maintained = _maintain(house)
    figures = {"commits": commits, **maintained}
    for name, spent_s in train_s.items():
        figures |= {f"{name}_train_s": spent_s, **_again(house, root, name)}
    columns = [one.name for one in house.lake.load(TABLE).schema().fields]
    return figures | {"is_schema_grown": "site" in columns}


def name_of(model: "dg.AssetsDefinition") -> str:
    """What a model asset is called."""
    return str(model.key.path[-1])


def _live_on(house: Lakehouse, node: "Node", world: World, commits: int) -> None:
    """Half of the commits replace days that the model learned from, half add later days, under the contract's next version."""
    from dataclasses import replace

    from lakeline.publishing import publish

    target = replace(node.target, contract=LaterSample)
    days = [shift(FIRST, i * 3) for i in range(commits // 2)]
    days += [shift(FIRST, DAYS + i) for i in range(commits - len(days))]
    for day in days:
        frame = world.rows(day).with_columns(site=_site())
        publish(house.lake, house.ledger, target, frame, window=Window.of_days(day))


def _site() -> "pl.Expr":
    import polars as pl

    return pl.lit("north", dtype=pl.String)


def _maintain(house: Lakehouse) -> dict[str, Any]:
    """All that may take a snapshot away, with what the hold costs before every file was rewritten and after."""
    from lakeline.lake.holds import holds_of
    from lakeline.lake.maintenance import compact, expire, remove_orphans

    none = dt.timedelta(0)
    expired = len(expire(house.lake, TABLE, older_than=none, keep_last=1).snapshots)
    before = holds_of(house.lake, TABLE)
    compacted = compact(house.lake, TABLE, max_files=0)
    expired += len(expire(house.lake, TABLE, older_than=none, keep_last=1).snapshots)
    remove_orphans(house.lake, TABLE, grace=none)
    after = holds_of(house.lake, TABLE)
    return {
        "expired_snapshots": expired,
        "compacted": len(compacted.partitions),
        "held_mb": before.size_bytes / 1e6,
        "table_mb": before.present_bytes / 1e6,
        "hold_share": before.share,
        "hold_share_all_rewritten": after.share,
    }


def _again(house: Lakehouse, root: Path, name: str) -> dict[str, Any]:
    from lakeline.cli.rebuilding import rebuild_apart

    registry, model = house.registry, f"press.{name}"
    version = registry.version(model, 1)
    begun_s = time.perf_counter()
    rebuilt = rebuild_apart(root, registry.capsule(model, 1), is_judged=True)
    wall_s = time.perf_counter() - begun_s
    return {
        f"{name}_rows": rebuilt.rows,
        f"{name}_is_hash_equal": rebuilt.digest == version.digest,
        f"{name}_is_metrics_equal": dict(rebuilt.metrics) == registry.metrics(version),
        f"{name}_rebuild_s": wall_s,
    }


def _materialize(
    assets: "list[dg.AssetsDefinition]", house: Lakehouse, days: tuple[str, str] | None = None
) -> float:
    """Build assets; the time it took."""
    import dagster as dg

    tags: dict[str, str] = {}
    if days:
        tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"] = (
            days
        )
    begun_s = time.perf_counter()
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(assets, resources={"lakehouse": house}, tags=tags, instance=instance)
    if not done.success:
        raise RuntimeError("the domain was not built")
    return time.perf_counter() - begun_s


def _report(figures: dict[str, Any]) -> int:
    reach = {
        **{f"{name}_is_hash_equal": "the same bytes" for name in MODELS},
        **{f"{name}_is_metrics_equal": "the same numbers" for name in MODELS},
        "is_schema_grown": "a column more than when it was trained",
    }
    met = all(figures[name] for name in reach) and figures["expired_snapshots"] > 0
    return report("reproduce", figures, reach, met=met)


if __name__ == "__main__":
    sys.exit(main())
