"""The files of `obp`, or of another folder of the same shape: where they are, and their columns with types.

They are the Open Bandit Dataset of ZOZOTOWN (Saito, Aihara, Matsutani and Narita 2020, https://arxiv.org/abs/2008.07146): a
folder a policy and campaign, with the impressions and with the items. The package is located and never imported: that takes
scikit-learn, matplotlib and torch. The whole data set, of which obp has 10,000 rows a file, has the same shape.
"""

import datetime as dt
import functools
import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from assets.shop.contracts import CAMPAIGNS, LOGS
from lakeline.errors import SourceError, names

if TYPE_CHECKING:
    import polars as pl

INSTALL = "pip install 'lakeline[recommender]'"
VISIT = dt.timedelta(minutes=30)
"""Time after which a click is taken as known; the files have none, and half an hour is the usual end of a visit."""

USER_FEATURES = tuple(f"user_feature_{i}" for i in range(4))
ITEM_FEATURES = tuple(f"item_feature_{i}" for i in range(4))
AFFINITY = "user-item_affinity_"
NEEDED = ("timestamp", "item_id", "position", "click", "propensity_score", *USER_FEATURES)
KEY = ("event_ts", "log", "campaign", "row")


class ShopFileError(SourceError):
    """A file of the shop's data is missing, cannot be read, or has other columns."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"{path.name} in {path.parent} {why}. Install the data ({INSTALL}) or set LAKELINE_SHOP_FOLDER to a folder "
            "that has random/ and bts/ as obp has them."
        )


def is_installed() -> bool:
    """Whether `obp` is there."""
    try:
        distribution("obp")
    except PackageNotFoundError:
        return False
    return True


def package_folder() -> Path:
    """Folder of the files that `obp` installs.

    Raises:
        SourceError: The package is not installed.
    """
    try:
        files = distribution("obp").files or []
    except PackageNotFoundError as error:
        raise SourceError(
            f"The shop's data is not installed. Run: {INSTALL}, or set LAKELINE_SHOP_FOLDER."
        ) from error
    here = [one for one in files if one.match("dataset/obd/random/all/all.csv")]
    if not here:
        raise SourceError("The installed obp has no data. Install release 0.4.1, or set LAKELINE_SHOP_FOLDER.")  # fmt: skip
    return Path(str(here[0].locate())).parents[2]


def read_impressions(folder: Path) -> "pl.DataFrame":
    """Every impression of both policies and all campaigns in order of time, with ``known_ts`` and ``profile``.

    Raises:
        ShopFileError: A file cannot be used.
    """
    return _all_impressions(_state(folder))


def read_affinities(folder: Path) -> "pl.DataFrame":
    """Every affinity above 0 of every impression, a row each.

    Raises:
        ShopFileError: A file cannot be used.
    """
    return _all_affinities(_state(folder))


def read_profiles(folder: Path) -> "pl.DataFrame":
    """Every combination of the visitors' features, with its hash.

    Raises:
        ShopFileError: A file cannot be used.
    """
    rows = read_impressions(folder).select("profile", *USER_FEATURES)
    return rows.unique().sort("profile")


def read_items(folder: Path) -> "pl.DataFrame":
    """Every item of every campaign.

    Of the policy that shows each item alike: both have the same items under the same numbers, but hash their features anew.

    Raises:
        ShopFileError: A file cannot be used.
    """
    import polars as pl

    found = []
    for campaign in CAMPAIGNS:
        rows = _csv(folder / "random" / campaign / "item_context.csv", ("item_id", *ITEM_FEATURES))
        found.append(
            rows.select(
                pl.concat_str(pl.lit(campaign), "item_id", separator="/").alias("item"),
                pl.lit(campaign).alias("campaign"),
                *ITEM_FEATURES,
            )
        )
    return pl.concat(found)


@functools.lru_cache(maxsize=2)
def _all_impressions(state: tuple[tuple[Path, int], ...]) -> "pl.DataFrame":
    import polars as pl

    found = []
    for (path, _), (log, campaign) in zip(state, product(LOGS, CAMPAIGNS), strict=True):
        rows = _keyed(path, log, campaign)
        found.append(
            rows.select(
                *KEY,
                pl.concat_str(pl.lit(campaign), "item_id", separator="/").alias("item"),
                "position",
                *USER_FEATURES,
                pl.col("propensity_score").alias("propensity"),
                (pl.col("click") == 1).alias("is_clicked"),
                (pl.col("event_ts") + VISIT).alias("known_ts"),
            )
        )
    whole = pl.concat(found).sort(KEY)
    profiles = whole.select(USER_FEATURES).unique()
    hashes = [_profile(*traits) for traits in profiles.iter_rows()]
    return whole.join(
        profiles.with_columns(profile=pl.Series(hashes, dtype=pl.String)),
        on=USER_FEATURES,
        how="left",
        maintain_order="left",
    )


@functools.lru_cache(maxsize=2)
def _all_affinities(state: tuple[tuple[Path, int], ...]) -> "pl.DataFrame":
    import polars as pl

    found = []
    for (path, _), (log, campaign) in zip(state, product(LOGS, CAMPAIGNS), strict=True):
        rows = _keyed(path, log, campaign)
        amounts = [name for name in rows.columns if name.startswith(AFFINITY)]
        long = rows.unpivot(on=amounts, index=KEY, variable_name="item", value_name="affinity")
        found.append(
            long.filter(pl.col("affinity") > 0).with_columns(
                item=pl.col("item").str.replace(AFFINITY, f"{campaign}/", literal=True),
                affinity=pl.col("affinity").cast(pl.Float64),
            )
        )
    return pl.concat(found).sort([*KEY, "item"])


def _keyed(path: Path, log: str, campaign: str) -> "pl.DataFrame":
    import polars as pl

    rows = _csv(path, NEEDED).with_columns(
        event_ts=pl.col("timestamp").str.to_datetime(time_unit="us", time_zone="UTC", strict=False),
        log=pl.lit(log),
        campaign=pl.lit(campaign),
        row=pl.int_range(pl.len(), dtype=pl.Int64),
    )
    if wrong := rows["event_ts"].null_count():
        raise ShopFileError(path, f"has {wrong:,} rows without a time like 2019-11-24 00:00:34+00:00")  # fmt: skip
    return rows


def _profile(*traits: str) -> str:
    return hashlib.sha256("\0".join(traits).encode()).hexdigest()[:12]


def _csv(path: Path, needed: tuple[str, ...]) -> "pl.DataFrame":
    import polars as pl

    try:
        rows = pl.read_csv(path, infer_schema_length=None)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ShopFileError(path, f"cannot be read: {str(error).splitlines()[0]}") from error
    if missing := [name for name in needed if name not in rows.columns]:
        raise ShopFileError(path, f"has no column {names(missing)}. It has {names(rows.columns, 12)}")  # fmt: skip
    return rows


def _state(folder: Path) -> tuple[tuple[Path, int], ...]:
    """The six files of impressions and when each was changed, so that others of their names are read anew."""
    found = []
    for log, campaign in product(LOGS, CAMPAIGNS):
        path = folder / log / campaign / f"{campaign}.csv"
        try:
            found.append((path, path.stat().st_mtime_ns))
        except FileNotFoundError as error:
            raise ShopFileError(path, "is not there") from error
    return tuple(found)
