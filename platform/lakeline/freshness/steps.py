"""What the steps of a run build, as Dagster planned the run: the key of a step does not tell an asset."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg


def assets_of_steps(
    instance: "dg.DagsterInstance", run: "dg.DagsterRun"
) -> dict[str, tuple[str, ...]]:
    """Names of the assets that a run is to build, by the key of the step; steps that build none are left out.

    It holds for runs of any job and code location, whoever launched them: the plan is stored before the run is.
    """
    plan_id = run.execution_plan_snapshot_id
    plan = instance.get_execution_plan_snapshot(plan_id) if plan_id is not None else None
    if plan is None:
        return {}
    meant = set(plan.step_keys_to_execute)
    found = {
        step.key: tuple(
            output.properties.asset_key.to_user_string()
            for output in step.outputs
            if output.properties is not None and output.properties.asset_key is not None
        )
        for step in plan.steps
        if step.key in meant
    }
    return {key: names for key, names in found.items() if names}
