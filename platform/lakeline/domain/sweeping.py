"""The sensor that takes away pods whose run is no longer there."""

from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from lakeline.resource import Lakehouse


def sweeping_sensor(
    name: str = "pods", *, is_running: bool, every_s: int = 30
) -> dg.SensorDefinition:
    """The sensor that takes away pods whose run is no longer under way."""

    @dg.sensor(
        name=name,
        minimum_interval_seconds=every_s,
        required_resource_keys={"lakehouse"},
        default_status=dg.DefaultSensorStatus.RUNNING
        if is_running
        else dg.DefaultSensorStatus.STOPPED,
        description="Takes away the pods of runs that ended without doing so, such as one whose process was killed.",
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        from lakeline.compute.cluster import connect
        from lakeline.domain.pods import sweep

        house: Lakehouse = context.resources.lakehouse
        if house.compute != "kubernetes":
            return dg.SkipReason("Assets are built on this machine.")
        left = sweep(connect(house.pods), context.instance)
        said = f"Took away {', '.join(left)}." if left else "No pod is without its run."
        return dg.SkipReason(said)

    return sensor
