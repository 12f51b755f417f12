"""Whether a model of the graph is to be trained: its reasons gathered from the ledger."""

import datetime as dt
from typing import TYPE_CHECKING

from lakeline.freshness.fresh import watermark_of
from lakeline.freshness.graph import Vertex
from lakeline.freshness.retraining import (
    FAILED,
    WATCHED_CHECK,
    Retrain,
    fingerprint,
    reason_to_train,
    trainings,
)
from lakeline.freshness.view import FINE, MISSING, STALE, Standing, View
from lakeline.ledger import ABSENT
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lakeline.freshness.retraining import Training, Verdict
    from lakeline.ledger import Current, Input

HISTORY = 50
"""Trainings, and builds of one partition, looked back on: more than any limit a period that makes sense."""


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
        noted = trainings(view.ledger, vertex.name)
        if not noted:
            return Standing(MISSING, "it was never trained")
        return _after_refusal(view, vertex, now, noted)
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
        features_changed=features_changed(view, vertex, current, is_moving=is_moving),
        inputs_changed_since_training=is_moving or not view.standing((vertex.name, WHOLE)).is_fine,
        failed_checks=failed_checks(view, policy),
        policy=policy,
    )


def trained(view: View, model: str) -> tuple[dt.datetime, ...]:
    """When each of its trainings was, whatever became of the challenger: as noted, or else when its builds ended."""
    if noted := trainings(view.ledger, model):
        return tuple(one.known_ts for one in noted)
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


def features_changed(
    view: View, vertex: Vertex, current: "Current", *, is_moving: bool = False
) -> bool:
    """Whether a table that it learns from was built by other code than when it was last trained, or is about to be.

    Seen from the newest partition of each table that it learned from: its build at the training, and the one now.
    """
    newest: dict[str, Input] = {}
    for one in view.inputs((vertex.name, WHOLE)):
        if one.asset not in newest or one.partition > newest[one.asset].partition:
            newest[one.asset] = one
    return any(
        _is_by_other_code(view, newest[edge.upstream], current, is_moving=is_moving)
        for edge in vertex.reads
        if edge.upstream in newest
    )


def _is_by_other_code(view: View, read: "Input", trained: "Current", *, is_moving: bool) -> bool:
    before = _code_of(view, read, trained)
    present = view.current((read.asset, read.partition))
    upstream = view.graph.vertices[read.asset]
    codes = {present.code_version} if present is not None else set()
    if is_moving and upstream.rebuilds_on_code:
        codes.add(upstream.code_version)
    return before is not None and not codes <= {before}


def _code_of(view: View, read: "Input", trained: "Current") -> str | None:
    """Code version of the build that a training read; told by the order of builds, since clocks jump and differ."""
    for one in view.ledger.history(read.asset, read.partition, limit=HISTORY):
        is_before = one.ended_ts is not None and one.build_id < trained.build_id
        if is_before and one.version == read.version:
            return one.code_version
    return None


def _after_refusal(
    view: View, vertex: Vertex, now: dt.datetime, noted: "Sequence[Training]"
) -> Standing:
    """The standing of a model that was trained and has no champion: its first challengers were refused."""
    reads = [(edge.upstream, key) for edge in vertex.reads for key in view.wanted(edge, WHOLE)]
    view.load_versions(reads)
    read = fingerprint((*pair, view.version(pair) or ABSENT) for pair in reads)
    policy, last = vertex.retrain or Retrain(), noted[-1]
    verdict = reason_to_train(
        now=now,
        promise=vertex.promise,
        watermark=None,
        trained=[one.known_ts for one in noted],
        code_changed=vertex.rebuilds_on_code and last.code_version != vertex.code_version,
        features_changed=False,
        inputs_changed_since_training=read != last.inputs,
        failed_checks=failed_checks(view, policy),
        policy=policy,
    )
    return Standing(MISSING, verdict.reason) if verdict.due else Standing(FINE, verdict.reason)
