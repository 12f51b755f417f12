"""Whether a model of the graph is to be trained: its reasons gathered from the ledger."""

import datetime as dt
from typing import TYPE_CHECKING

from lakeline.freshness.fresh import watermark_of
from lakeline.freshness.graph import Vertex
from lakeline.freshness.mapping import WHOLE
from lakeline.freshness.retraining import FAILED, WATCHED_CHECK, Retrain, reason_to_train
from lakeline.freshness.view import FINE, MISSING, STALE, Standing, View

if TYPE_CHECKING:
    from lakeline.freshness.retraining import Verdict
    from lakeline.ledger import Current

HISTORY = 50
"""Trainings looked back on: more than any limit a period that makes sense."""


def why_train(view: View, vertex: Vertex, now: dt.datetime, *, is_moving: bool) -> Standing:
    """A model's standing: not fine exactly when it is to be trained.

    Args:
        view: The ledger.
        vertex: The model.
        now: The present.
        is_moving: Whether something that it reads is about to change.
    """
    current = view.current((vertex.name, WHOLE))
    if current is None:
        return _first(view, vertex)
    verdict = verdict_on(view, vertex, current, now, is_moving=is_moving)
    return Standing(STALE, verdict.reason) if verdict.due else Standing(FINE, verdict.reason)


def verdict_on(
    view: View, vertex: Vertex, current: "Current", now: dt.datetime, *, is_moving: bool = False
) -> "Verdict":
    """What its reasons amount to."""
    policy = vertex.retrain or Retrain()
    return reason_to_train(
        now=now,
        promise=vertex.promise,
        watermark=watermark_of(view, vertex.name),
        trained=trained(view, vertex.name),
        code_changed=vertex.rebuilds_on_code and current.code_version != vertex.code_version,
        features_changed=features_changed(view, vertex, current),
        inputs_changed_since_training=is_moving or not view.standing((vertex.name, WHOLE)).is_fine,
        failed_checks=failed_checks(view, policy),
        policy=policy,
    )


def trained(view: View, model: str) -> tuple[dt.datetime, ...]:
    """When each of its trainings ended, whatever became of the challenger."""
    records = view.ledger.history(model, WHOLE, limit=HISTORY)
    return tuple(one.ended_ts for one in records if one.ended_ts is not None)


def failed_checks(view: View, policy: Retrain) -> tuple[str, ...]:
    """Watched checks whose latest result is a failure."""
    found = []
    for report in sorted({report for report, _ in policy.on}):
        for state in view.ledger.states(asset=report):
            check = state.name.removeprefix(WATCHED_CHECK)
            is_check = state.name.startswith(WATCHED_CHECK)
            if is_check and state.state == FAILED and policy.watches(report, check):
                found.append(f"{report} {check}")
    return tuple(found)


def features_changed(view: View, vertex: Vertex, current: "Current") -> bool:
    """Whether a table that it learns from was built by other code than when it was last trained.

    Seen from the ledger: the newest build of each table that it reads, now and at the training.
    """
    for edge in vertex.reads:
        codes = {one.code_version for one in view.ledger.history(edge.upstream, limit=1)}
        before = _code_at(view, edge.upstream, current.started_ts)
        if before is not None and codes and before not in codes:
            return True
    return False


def _code_at(view: View, asset: str, moment: dt.datetime) -> str | None:
    """Code version of the last build before a moment."""
    for one in view.ledger.history(asset, limit=HISTORY):
        if one.ended_ts is not None and one.ended_ts <= moment:
            return one.code_version
    return None


def _first(view: View, vertex: Vertex) -> Standing:
    if view.lacks_history(vertex):
        need = vertex.needs_partitions
        return Standing(
            FINE, f"it is trained first when {need} partitions of what it learns from exist"
        )
    return Standing(MISSING, "it was never trained")
