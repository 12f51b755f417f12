"""The replay goes on: each day that the archive publishes is built, and the two days before it are built again.

Outcomes of late flights are known only when they have landed, so a day is restated on the days after it.
"""

from collections.abc import Sequence

import dagster as dg

from assets.flights.archive import FlightArchive
from lakeline.domain.node import node_of
from lakeline.resource import Lakehouse
from lakeline.window import DAY, Window, day_start, shift

RESTATED_DAYS = 2
"""Days before the first new one that are built again: a diverted flight's outcome is known a day later."""

CAUSE = "lakeline/cause"
"""Run tag: why a run was launched."""

UNDER_WAY = (
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
)


def replay_sensor(
    assets: Sequence[dg.AssetsDefinition], *, is_replaying: bool
) -> dg.SensorDefinition:
    """The sensor that builds ``assets`` for each day of a replay as it is published.

    Args:
        assets: All assets; those that follow the replay are picked from them: daily ones and the reports.
        is_replaying: Whether the settings ask for a replay; without, the sensor is there and off.
    """
    followed = [one for one in assets if node_of(one).daily or node_of(one).layer == "monitoring"]

    @dg.sensor(
        name="replay",
        target=followed,
        default_status=dg.DefaultSensorStatus.RUNNING
        if is_replaying
        else dg.DefaultSensorStatus.STOPPED,
        minimum_interval_seconds=10,
        description="Builds each day that the archive publishes, and the two days before it again.",
    )
    def replay(
        context: dg.SensorEvaluationContext, lakehouse: Lakehouse, archive: FlightArchive
    ) -> dg.SensorResult:
        if not archive.replay_start:
            return dg.SensorResult(
                skip_reason="No replay is configured: set LAKELINE_REPLAY_START."
            )
        if busy := context.instance.get_run_records(
            dg.RunsFilter(tags={CAUSE: "replay"}, statuses=[*UNDER_WAY]), limit=1
        ):
            return dg.SensorResult(
                skip_reason=f"Run {busy[0].dagster_run.run_id} is still building earlier days."
            )
        window = days_to_build(lakehouse, archive, followed)
        if window is None:
            published = archive.published_until()
            return dg.SensorResult(
                skip_reason=f"Every day before {published:%Y-%m-%d} is built; the next is not published yet."
            )
        return dg.SensorResult(run_requests=[_request(window, followed)])

    return replay


def days_to_build(
    lakehouse: Lakehouse, archive: FlightArchive, assets: Sequence[dg.AssetsDefinition]
) -> Window | None:
    """From two days before the first published day of the replay that some asset lacks, to the last such day."""
    daily = [node for node in map(node_of, assets) if node.daily]
    replayed = _published(archive, assets)
    built = [lakehouse.ledger.versions(node.asset) for node in daily]
    lacking = [day for day in replayed if any(day not in one for one in built)]
    if not lacking:
        return None
    first = shift(lacking[0], -RESTATED_DAYS)
    begins = max(str(node.first_partition) for node in daily)
    return Window.of_days(max(first, begins), lacking[-1])


def _published(archive: FlightArchive, assets: Sequence[dg.AssetsDefinition]) -> list[str]:
    """Days of the replay that are published, as far as the assets have them."""
    begins, until = archive.replay_start[:10], archive.published_until() - DAY
    if until < day_start(begins):
        return []
    days = Window.of_days(begins, f"{until:%Y-%m-%d}").partitions
    known = [one.partitions_def for one in assets if one.partitions_def is not None]
    return [day for day in days if all(one.has_partition_key(day) for one in known)]


def _request(window: Window, assets: Sequence[dg.AssetsDefinition]) -> dg.RunRequest:
    first, last = window.partitions[0], window.partitions[-1]
    return dg.RunRequest(
        run_key=f"{first} to {last}",
        asset_selection=[one.key for one in assets],
        tags={
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
            CAUSE: "replay",
        },
    )
