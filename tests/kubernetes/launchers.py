"""A job, a sensor and a schedule for an asset, by which tests launch it: part of a file of definitions."""

from collections.abc import Sequence

import dagster as dg

ASK = "launch"


def plain(asset: str) -> str:
    """An asset's key as a name of a job, a sensor or a schedule.

    >>> plain("shop/sales")
    'shop__sales'
    """
    return asset.replace("/", "__")


def ask(partition: str | None, token: str) -> str:
    """The cursor that lets the sensor launch one run for a token, however often it is set."""
    return f"{ASK}:{token}:{partition or ''}"


def asked(cursor: str | None, keys: Sequence[dg.AssetKey]) -> dg.RunRequest | dg.SkipReason:
    """The run that a cursor asks for; Dagster launches one with the same key once."""
    word, _, rest = (cursor or "").partition(":")
    if word != ASK:
        return dg.SkipReason("Nobody asks.")
    token, _, partition = rest.partition(":")
    return dg.RunRequest(run_key=token, asset_selection=[*keys], partition_key=partition or None)


def launchers(asset: str, partitions: dg.PartitionsDefinition[str] | None = None) -> dg.Definitions:
    """A job, a sensor that launches once when asked through its cursor, and a schedule of each minute, for one asset.

    Args:
        asset: Its key, such as ``shop/sales``.
        partitions: Its partitions; the schedule launches the last one.
    """
    key, name = dg.AssetKey(asset.split("/")), plain(asset)
    job = dg.define_asset_job(f"{name}_job", dg.AssetSelection.assets(key))

    @dg.sensor(
        name=f"{name}_sensor",
        target=dg.AssetSelection.assets(key),
        minimum_interval_seconds=1,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def sensor(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return asked(context.cursor, [key])

    @dg.schedule(name=f"{name}_schedule", cron_schedule="* * * * *", job=job)
    def schedule(_: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        return dg.RunRequest(
            partition_key=partitions.get_last_partition_key() if partitions else None
        )

    return dg.Definitions(jobs=[job], sensors=[sensor], schedules=[schedule])
