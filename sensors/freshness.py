"""What keeps this deployment's assets fresh and consistent by itself, and within which bounds."""

from collections.abc import Sequence

import dagster as dg

from lakeline.domain.node import nodes_of
from lakeline.freshness.budget import Budget
from lakeline.freshness.checks import checks_of
from lakeline.freshness.sensor import reconcile_sensor
from resources import alert_channels
from resources.settings import Settings

CLOCK = "clock"
"""Key of the resource that says what time it is."""


def freshness_sensor(
    assets: Sequence[dg.AssetsDefinition], settings: Settings
) -> dg.SensorDefinition:
    """The sensor that builds what is missing or stale; on by itself in a replay, else when a person turns it on.

    The bundled data ends with its year, so that by the machine's clock every promise is broken.
    """
    return reconcile_sensor(
        assets,
        budget=Budget(runs=settings.runs_at_once),
        clock_key=CLOCK,
        channels=alert_channels(settings),
        is_running=bool(settings.replay_start) or settings.automation,
        interval_s=settings.reconcile_every_s,
    )


def freshness_checks(assets: Sequence[dg.AssetsDefinition]) -> dg.AssetChecksDefinition:
    """The checks of all assets that tell whether their data is fresh and consistent."""
    return checks_of(nodes_of(assets).values(), clock_key=CLOCK)
