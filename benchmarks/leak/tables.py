"""Half a year of flights in a lake, and the tables of outcomes that many a team would join by event time alone."""

import datetime as dt
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakeline.features.point_in_time import FeatureSource

if TYPE_CHECKING:
    import polars as pl

FIRST, LAST = "2013-01-01", "2013-06-30"
VIEWS = {
    "origin_backlog": ("origin",),
    "carrier_punctuality": ("carrier",),
    "weather_at_origin": ("origin",),
}
TABLES = ("departures_clean", *VIEWS)
OUTCOME_EVERY, OUTCOME_OVER = "15m", "1h"
OUTCOMES = {"origin_outcomes": ("origin",), "route_outcomes": ("origin", "dest")}


def build(state: Path) -> None:
    """Build the clean table and the feature views with the flights graph."""
    os.environ["LAKELINE_STATE"] = str(state)
    import dagster as dg

    from assets import flights
    from lakeline.domain import load_domain
    from resources import Settings, build_resources

    tags = {
        "dagster/asset_partition_range_start": FIRST,
        "dagster/asset_partition_range_end": LAST,
    }
    chosen = dg.AssetSelection.assets(*(["flights", name] for name in TABLES)).upstream()
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            load_domain(flights).assets,
            selection=chosen,
            resources=build_resources(Settings(state=state)),
            tags=tags,
            instance=instance,
        )
    if not done.success:
        raise RuntimeError("the feature views were not built")


def read(state: Path) -> "dict[str, pl.DataFrame]":
    """Every table by its name."""
    from lakeline.lake.read import scan_polars
    from resources import Settings, build_resources

    lake: Any = build_resources(Settings(state=state))["lakehouse"]
    return {name: scan_polars(lake.lake.load(f"flights.{name}")).collect() for name in TABLES}


def views(tables: "dict[str, pl.DataFrame]") -> list[FeatureSource]:
    """The domain's own feature views as a join takes them."""
    from lakeline.domain.node import nodes

    return [_source(name, keys, tables[name], nodes()[f"flights/{name}"].ttl_s) for name, keys in VIEWS.items()]  # fmt: skip


def outcomes(departures: "pl.DataFrame") -> list[FeatureSource]:
    """How late flights turned out, of an origin and of a route: each quarter of an hour, those scheduled in the hour before.

    Stamped with the schedule, as a table of departures is; known when the last of them has landed.
    """
    import polars as pl

    landed = departures.drop_nulls(["is_late", "known_ts"]).sort("event_ts")
    found = []
    for name, keys in OUTCOMES.items():
        rows = landed.group_by_dynamic(
            "event_ts",
            every=OUTCOME_EVERY,
            period=OUTCOME_OVER,
            closed="right",
            label="right",
            group_by=list(keys),
        ).agg(
            pl.col("known_ts").max(),
            pl.col("is_late").mean().alias(f"{name}_late_share"),
            pl.col("arr_delay_min").mean().alias(f"{name}_mean_delay_min"),
        )
        found.append(_source(name, keys, rows, 24 * 3600))
    return found


def _source(
    name: str, keys: tuple[str, ...], rows: "pl.DataFrame", ttl_s: float | None
) -> FeatureSource:
    times = ("event_ts", "known_ts")
    return FeatureSource(
        name=name,
        frame=rows,
        entities=keys,
        event_time=times[0],
        knowledge_time=times[1],
        features=tuple(column for column in rows.columns if column not in {*keys, *times}),
        ttl=None if ttl_s is None else dt.timedelta(seconds=ttl_s),
    )
