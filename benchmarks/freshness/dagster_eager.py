"""Dagster as its documentation shows it: a freshness policy and ``AutomationCondition.eager()`` on every asset."""

import datetime as dt

import dagster as dg

from benchmarks.freshness.dagster_graph import Condition, Rules
from benchmarks.freshness.dagster_system import DagsterSystem
from benchmarks.freshness.graph import Asset, Graph


def eager_system() -> DagsterSystem:
    """Freshness policies and ``eager()``."""
    return DagsterSystem("eager", Rules(condition=_eager, policy=_policy))


def _eager(graph: Graph, asset: Asset) -> Condition:
    return dg.AutomationCondition.eager()


def _policy(promise: dt.timedelta) -> dg.FreshnessPolicy:
    return dg.FreshnessPolicy.time_window(fail_window=promise)
