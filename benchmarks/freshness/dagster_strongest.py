"""The strongest conditions that Dagster's own operators allow, tuned until no other combination of them did better.

What it takes into account:

- Late partitions are in: nothing is limited to the latest time window. Windows are ``TimeWindowPartitionMapping``.
- ``data_version_changed`` in place of ``newly_updated``: a rebuild with equal content goes no further. It is an edge, so
  it is latched. ``since`` drops a trigger that falls into the tick of its reset, so the reset is ``newly_requested``
  where nothing triggers at the same time, and not ``newly_updated``: a run that had read before would take the latch
  with it.
- What the same run has built is no reason to build again, except where a window reads other days only: the operator for
  it does not look at partitions.
- Nothing is built while something upstream is under way, up to ``ANCESTORS`` steps away.
- A failed or missing partition is tried again whenever a cron tick has passed, at seven minutes past the hour since a
  tick that falls exactly on an evaluation fires twice.
- A model is trained for new code of its own or of what it reads, for a failed drift check, once when it fails and then
  on every second morning, and for its freshness policy. Latches of one asset differ in what they are made of: two with
  equally named children would share their state.
- New code is ``code_version_changed``.
- Freshness policies say by when a day must be built, which is when its promise breaks. Daily assets have in addition
  Dagster's own check that the newest partition was built by then, the only one that looks at partitions.

What no condition can do: know what a build has read, and so leave out one that is not needed, or find a lost edge; tell
the newest ``n`` partitions from all of them; count attempts.
"""

import datetime as dt
from functools import reduce
from typing import Any

import dagster as dg

from benchmarks.freshness.dagster_graph import Condition, Rules
from benchmarks.freshness.dagster_system import DagsterSystem
from benchmarks.freshness.graph import Asset, Graph, Read

AC: Any = dg.AutomationCondition
RETRY = "7 * * * *"
DRIFT_AGAIN = "37 5 */2 * *"
ANCESTORS = 3
DEADLINE = "1 12 * * *"
"""When the promises of all daily assets are broken if the day before is not there."""
LONGEST_DAILY = dt.timedelta(days=3)


def strongest_system() -> DagsterSystem:
    """Latched changes of data versions, level by level."""
    return _system("strongest", is_chained=False)


def chained_system() -> DagsterSystem:
    """The same, but what is downstream of something that is requested is requested with it: fewer ticks, more in vain."""
    return _system("chained", is_chained=True)


def _system(name: str, *, is_chained: bool) -> DagsterSystem:
    def condition(graph: Graph, asset: Asset) -> Condition:
        return _condition(graph, asset, is_chained=is_chained)

    return DagsterSystem(name, Rules(condition=condition, policy=_policy, deadline=DEADLINE))


def _policy(promise: dt.timedelta) -> dg.FreshnessPolicy:
    if promise > LONGEST_DAILY:
        return dg.FreshnessPolicy.time_window(fail_window=promise)
    return dg.FreshnessPolicy.cron(deadline_cron=DEADLINE, lower_bound_delta=dt.timedelta(hours=8))


def _condition(graph: Graph, asset: Asset, *, is_chained: bool) -> Condition:
    trigger = (
        _reasons_to_train(asset)
        if asset.kind == "model"
        else _reasons_to_build(graph, asset, is_chained=is_chained)
    )
    latched = trigger.since(AC.newly_requested() & ~trigger)
    # Written as a NOT, since the state of a latch goes by the kinds of its children: two ANDs would share it.
    pending = trigger.since(~(~AC.newly_updated() | trigger))
    wrong = pending | AC.execution_failed() | AC.missing()
    due = latched | (wrong & AC.cron_tick_passed(RETRY))
    guarded: Condition = (
        due & ~_is_lacking(asset) & ~_is_upstream(AC.in_progress()) & ~AC.in_progress()
    )
    return guarded


def _reasons_to_build(graph: Graph, asset: Asset, *, is_chained: bool) -> Any:
    deps = [_of_dep(read, is_chained=is_chained) for read in asset.reads]
    either = reduce(lambda one, other: one | other, deps)
    return either | AC.missing().newly_true() | AC.code_version_changed()


def _of_dep(read: Read, *, is_chained: bool) -> Any:
    """Whether a dependency moved; of the newest partitions a day more, since the newest one may not be there yet."""
    moved = AC.data_version_changed()
    if not read.end:  # of its own day it has seen what the same run built
        moved = moved & ~AC.executed_with_root_target()
    if read.kind == "newest":
        moved = moved & AC.in_latest_time_window(dt.timedelta(days=read.count + 1))
    if is_chained:
        moved = moved | AC.will_be_requested()
    return AC.any_deps_match(moved).allow(dg.AssetSelection.assets(read.upstream))


def _reasons_to_train(asset: Asset) -> Any:
    assert asset.retraining is not None
    drift = AC.asset_matches(asset.retraining.report, AC.any_checks_match(AC.check_failed()))
    new_features = AC.any_deps_match(AC.code_version_changed()).since(AC.newly_requested())
    return (
        AC.code_version_changed()
        | (new_features & AC.any_deps_match(AC.newly_updated()))
        | drift.newly_true()
        | (drift & AC.cron_tick_passed(DRIFT_AGAIN))
        | AC.freshness_failed().newly_true()
    )


def _is_lacking(asset: Asset) -> Any:
    """Whether something that it reads is missing; of many days one always may be, such as one that was not published."""
    many = [read.upstream for read in asset.reads if read.kind in ("every", "newest")]
    lacking = AC.any_deps_missing()
    return lacking.ignore(dg.AssetSelection.assets(*many)) if many else lacking


def _is_upstream(condition: Any) -> Any:
    """Whether it is so for something upstream, a few steps up."""
    near = AC.any_deps_match(condition)
    return reduce(lambda found, _: AC.any_deps_match(condition | found), range(ANCESTORS - 1), near)
