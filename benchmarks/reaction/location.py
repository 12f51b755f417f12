"""The code location of the benchmark: the same assets, kept by lakeline's sensor or by ``AutomationCondition.eager()``."""

import json
import os
from pathlib import Path

import dagster as dg

from benchmarks.reaction.mill import FIRST, LAST, Machines, mill
from lakeline.clock import SystemClock
from lakeline.freshness.sensor import reconcile_sensor
from lakeline.resource import Lakehouse
from lakeline.window import shift

FOLDER, SYSTEM, INTERVAL_S = "REACTION_FOLDER", "REACTION_SYSTEM", "REACTION_INTERVAL_S"
SOURCE = dg.AssetKey(["mill", "machines"])


class PresentTime(dg.ConfigurableResource["PresentTime"]):
    """The machine's clock, as the sensor asks for it."""

    @property
    def clock(self) -> SystemClock:
        """What says the time."""
        return SystemClock()


def machines_in(folder: Path) -> Machines:
    """The source of a system."""
    return Machines(folder=str(folder / "machines"))


def lakehouse_in(folder: Path) -> Lakehouse:
    """The lake, the ledger and the registry of a system."""
    return Lakehouse.in_folder(folder)


def resources_in(folder: Path) -> dict[str, object]:
    """All resources of a system."""
    return {"lakehouse": lakehouse_in(folder), "machines": machines_in(folder), "clock": PresentTime()}  # fmt: skip


@dg.definitions
def defs() -> dg.Definitions:
    """What the environment asks for."""
    folder, interval_s = Path(os.environ[FOLDER]), int(os.environ[INTERVAL_S])
    assets = mill().assets
    if os.environ[SYSTEM] == "lakeline":
        sensors: list[dg.SensorDefinition] = [reconcile_sensor(assets, interval_s=interval_s)]
        return dg.Definitions(assets=assets, sensors=sensors, resources=resources_in(folder), executor=dg.in_process_executor)  # fmt: skip
    return dg.Definitions(
        assets=[_source(), *(_eager(asset) for asset in assets)],
        sensors=[
            _landing(interval_s),
            dg.AutomationConditionSensorDefinition(
                "eager",
                target=dg.AssetSelection.all(),
                default_status=dg.DefaultSensorStatus.RUNNING,
                minimum_interval_seconds=interval_s,
            ),
        ],
        resources=resources_in(folder),
        executor=dg.in_process_executor,
    )


def _source() -> dg.AssetSpec:
    days = dg.DailyPartitionsDefinition(FIRST, end_date=shift(LAST, 1))
    return dg.AssetSpec(SOURCE, partitions_def=days)


def _eager(asset: dg.AssetsDefinition) -> dg.AssetsDefinition:
    """The asset with Dagster's condition, and with the source in the graph: eager() sees only what is in it."""
    made = asset.map_asset_specs(lambda spec: spec.replace_attributes(automation_condition=dg.AutomationCondition.eager()))  # fmt: skip
    if asset.key.path[-1] != "samples":
        return made
    return made.map_asset_specs(lambda spec: spec.merge_attributes(deps=[dg.AssetDep(SOURCE)]))


def _landing(interval_s: int) -> dg.SensorDefinition:
    """Says which days of the source have changed: as a materialization, since an observation moves nothing."""

    @dg.sensor(
        name="landing",
        minimum_interval_seconds=interval_s,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def landing(context: dg.SensorEvaluationContext, machines: Machines) -> dg.SensorResult:
        present = machines.versions("samples")
        before: dict[str, str] = json.loads(context.cursor) if context.cursor else present
        changed = [day for day, version in present.items() if before.get(day) != version]
        events = [dg.AssetMaterialization(SOURCE, partition=day) for day in changed]
        return dg.SensorResult(asset_events=events, cursor=json.dumps(present))

    return landing
