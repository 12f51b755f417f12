"""What the recommender's choices would have earned on days that it has not seen, beside popularity, chance and the loggers.

Twice on the same logs: the last two days, by a model of the five before, as the shop's gate judges it; and day by day from the
third on, each by a model of the days before it, which has five days of clicks to judge by. The settings of the model were
chosen by the log loss of three of those five days; the last two were seen in a first look at others, but did not choose
(see `assets.shop.models.two_tower_plan`).

Clicks are few. A difference within its interval is a tie, and a policy that hardly any click was logged for is unknown: neither
is counted as a success of the recommender, and a tie is no failure. `unlike_chance` says how much of a policy's choices chance
would not have made: a recommender that is hardly let learn is near chance by softmax, and a tie of the two says little. Greedy
popularity shows one item of fifty, which few clicks were logged for; popularity by softmax was added when that was seen.
"""

import datetime as dt
import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from assets.shop.clean import with_affinities
from assets.shop.features import popularity
from assets.shop.files import (
    package_folder,
    read_affinities,
    read_impressions,
    read_items,
)
from assets.shop.models import CATEGORICAL, FEATURES, two_tower_plan
from assets.shop.policies import POLICIES, RECOMMENDERS, chosen
from assets.shop.value import LOGGING, PolicyValues, policy_values
from benchmarks.harness import report
from lakeline.models.comparison import compare
from lakeline.models.evaluation import evaluate
from lakeline.models.training_set import TrainingSet
from lakeline.neural.towers import TwoTowers
from lakeline.neural.training import train_network
from lakeline.window import DAY, day_start

if TYPE_CHECKING:
    import polars as pl

    from lakeline.neural.model import NetworkModel

FIRST = day_start("2019-11-24")
HELD_OUT = day_start("2019-11-29")
ROLLING = [FIRST + i * DAY for i in range(2, 7)]
SEED = 7
MORE_SEEDS = (1, 2, 3)
NEEDED = {"popularity_softmax", "uniform", "logged_bts"}
"""Rivals that must be told day by day; greedy popularity shows one item of fifty, of which the logs have a click or two."""


class World:
    """The logs with their features, as the domain's tables have them."""

    def __init__(self) -> None:
        import polars as pl

        place = package_folder()
        self.items, self.liked = read_items(place), read_affinities(place)
        shown = read_impressions(place)
        known = [popularity(shown, self.items, FIRST + i * DAY) for i in range(7)]
        self.popularity = pl.concat(known)
        day = pl.col("event_ts").dt.truncate("1d").alias("day_ts")
        self.rows = (
            with_affinities(shown, self.liked)
            .join(self.items.drop("campaign"), on="item")
            .with_columns(day, pl.col("position").cast(pl.String))
            .join(
                self.popularity.rename({"event_ts": "day_ts"}).drop("known_ts"),
                on=["item", "day_ts"],
            )
        )

    def train(self, until: dt.datetime, seed: int = SEED) -> "NetworkModel":
        """The recommender of what was known by a moment."""
        import polars as pl

        # In the order of the domain's training set, which makes the same model of the same rows.
        order = [*FEATURES, "is_clicked", "event_ts", "known_ts"]
        learned = self.rows.filter(pl.col("known_ts") < until).sort(order, nulls_last=True)
        train = TrainingSet(
            frame=learned,
            features=FEATURES,
            categorical=CATEGORICAL,
            label="is_clicked",
            at="event_ts",
            start=FIRST,
            end=until,
        )
        architecture = f"{TwoTowers.__module__}:{TwoTowers.__qualname__}"
        return train_network(train, two_tower_plan(seed, architecture), name="shop.two_tower")

    def chosen(self, model: "NetworkModel", days: Sequence[dt.datetime]) -> "pl.DataFrame":
        """What each policy would have shown on some days."""
        import polars as pl

        return pl.concat(
            chosen(self.on([day]), self._items_of(day), self.liked, model) for day in days
        )

    def on(self, days: Sequence[dt.datetime]) -> "pl.DataFrame":
        """The impressions of some days."""
        import polars as pl

        return self.rows.filter(pl.col("day_ts").is_in(list(days)))

    def _items_of(self, day: dt.datetime) -> "pl.DataFrame":
        import polars as pl

        known = self.popularity.filter(pl.col("event_ts") == day).drop("event_ts", "known_ts")
        return self.items.join(known, on="item")


def main() -> int:
    """Run and report."""
    import polars as pl

    logging.disable(logging.INFO)
    begun_s = time.perf_counter()
    world = World()
    days = [HELD_OUT, HELD_OUT + DAY]
    model = world.train(HELD_OUT)
    held = policy_values(world.chosen(model, days), world.on(days))
    rolled = [world.chosen(world.train(day), [day]) for day in ROLLING]
    rolling = policy_values(pl.concat(rolled), world.on(ROLLING))
    for name, found in (("last two days", held), ("day by day", rolling)):
        _print(name, found)
    figures: dict[str, Any] = {
        "held_out": _figures(held),
        "rolling": _figures(rolling),
        "ranking": _ranking(world, model, days),
        "seeds": _seeds(world, days),
        "wall_s": time.perf_counter() - begun_s,
    }
    verdicts = [one.verdict for found in (held, rolling) for one in found.contrasts]
    figures["verdicts"] = dict(Counter(verdicts))
    told = {one.second for one in rolling.contrasts if one.verdict != "unknown"}
    figures["rivals_told"] = sorted(told)
    reach = {
        "verdicts": "no worse: neither recommender earns less than popularity, chance or the logging bandit beyond its interval",
        "rivals_told": "popularity, chance and the bandit, each in some form that clicks enough were logged for",
    }
    return report("recommender", figures, reach, met="worse" not in verdicts and told >= NEEDED)


def _figures(found: PolicyValues) -> dict[str, Any]:
    estimates = {
        estimator: {name: _estimate(found, name, estimator) for name in (*POLICIES, *LOGGING)}
        for estimator in found.values
    }
    contrasts = {
        f"{one.first}_over_{one.second}": {
            "gain": one.gain,
            "low": one.low,
            "high": one.high,
            "verdict": one.verdict,
        }
        for one in found.contrasts
    }
    told = {"days": len(found.days), "rows": found.rows, "clicks": found.clicks, "unlike_chance": found.from_chance}  # fmt: skip
    return {**told, **estimates, "contrasts": contrasts}


def _estimate(found: PolicyValues, name: str, estimator: str) -> dict[str, float]:
    one = found.of(name, estimator)
    told = {"value": one.value, "low": one.low, "high": one.high}
    return told | {"effective_rows": one.effective_rows, "rewarded_rows": one.rewarded_rows}


def _ranking(world: World, model: "NetworkModel", days: Sequence[dt.datetime]) -> dict[str, float]:
    """How the scores of what was shown rank its clicks, and against the item's popularity, over profiles."""
    rows = world.on(days)
    labels, scores = rows["is_clicked"].cast(int), model.predict(rows)
    against = compare(labels, scores, rows["click_rate_7d"], days=rows["profile"], metric="auc")
    return {
        "auc": evaluate(labels, scores).auc,
        "auc_popularity": against.second,
        "gain": against.gain,
        "gain_low": against.low,
        "gain_high": against.high,
    }


def _seeds(world: World, days: Sequence[dt.datetime]) -> dict[str, Any]:
    """The same with other seeds: what differs between them is chance alone."""
    found = []
    for seed in MORE_SEEDS:
        model = world.train(HELD_OUT, seed)
        valued = policy_values(world.chosen(model, days), world.on(days), resamples=200)
        found.append([valued.of(name).value for name in RECOMMENDERS])
    by_policy = zip(*found, strict=True)
    return {name: {"min": min(one), "max": max(one)} for name, one in zip(RECOMMENDERS, by_policy, strict=True)}  # fmt: skip


def _print(name: str, found: PolicyValues) -> None:
    print(f"{name}: {found.clicks} clicks of {found.rows:,}")
    for policy in (*POLICIES, *LOGGING):
        cells = [f"{estimator} {one.value:.3%} ({one.low:.3%} to {one.high:.3%})" for estimator in found.values if (one := found.of(policy, estimator))]  # fmt: skip
        told = found.of(policy)
        print(f"  {policy:18} {'  '.join(cells)}  {told.effective_rows:,.0f} effective rows, {told.rewarded_rows} clicks")  # fmt: skip
    for contrast in found.contrasts:
        print(f"  {contrast.words}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
