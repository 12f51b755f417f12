"""What takes away the pods of runs that could not do so themselves."""

import dagster as dg

from lakeline.domain.sweeping import sweeping_sensor
from resources.settings import Settings


def pods_sensor(settings: Settings) -> dg.SensorDefinition:
    """The sensor that sweeps pods; on by itself where assets are built in pods."""
    return sweeping_sensor(is_running=settings.compute == "kubernetes")
