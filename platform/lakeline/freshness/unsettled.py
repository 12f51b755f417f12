"""Which partitions may still change, and which of them can go now: the agenda followed downstream, upstream first.

A partition is *going* when it is to be built and everything it reads is settled or going with it in the same run;
*held* when it has to wait. Whatever lies downstream of either is unsettled too, so that nothing is built from a value
that is about to change. What was given up on, what only people build, and a model that has no reason to be trained
settle for what they have, and stop the search.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from lakeline.freshness.budget import Budget
from lakeline.freshness.decision import Action, Decision, InFlight
from lakeline.freshness.graph import Edge, Graph, Pair, Vertex
from lakeline.freshness.view import MISSING, STALE, Standing, View
from lakeline.ledger import place

if TYPE_CHECKING:
    from collections.abc import Callable

Path = Literal["going", "held"]


@dataclass(kw_only=True)
class Search:
    """The state of one search.

    Attributes:
        agenda: Partitions to look at, with the time since when.
        train: Tells whether a model is to be trained, and why; a standing that is not fine is a reason.
        going: Partitions that can go, with those they read that go with them.
        held: Partitions that wait, with what for.
        decisions: For each of the agenda that is not at rest.
        settled: Those of the agenda that are.
        unless: Keys with which partitions that are going have failed before; with the same one they are not tried.
    """

    graph: Graph
    view: View
    agenda: Mapping[Pair, dt.datetime]
    now: dt.datetime
    budget: Budget
    train: "Callable[[Vertex, bool], Standing]"
    running: dict[Pair, str] = field(default_factory=dict)
    going: dict[Pair, set[Pair]] = field(default_factory=dict)
    held: dict[Pair, Decision] = field(default_factory=dict)
    decisions: dict[Pair, Decision] = field(default_factory=dict)
    settled: set[Pair] = field(default_factory=set)
    unless: dict[Pair, str] = field(default_factory=dict)
    standings: dict[Pair, Standing] = field(default_factory=dict)
    _unsettled: dict[str, set[str]] = field(default_factory=dict)
    _candidates: dict[str, set[str]] = field(default_factory=dict)

    def run(self, in_flight: Iterable[InFlight]) -> "Search":
        """Search to the end."""
        for one in in_flight:
            self.running |= {(asset, key): one.run_id for asset, keys in one.partitions.items() for key in keys}  # fmt: skip
        for asset, key in (*self.agenda, *self.running):
            self._candidates.setdefault(asset, set()).add(key)
        for name in (
            self.graph.models
        ):  # may have a reason to be trained without a change of what they read
            self._candidates.setdefault(name, set()).add("")
        self.settled |= {pair for pair in self.agenda if pair[0] not in self.graph.vertices}
        self._in_order()
        return self

    def _in_order(self) -> None:
        """Level by level, so that each asset comes after everything it reads, and the ledger is asked once a level."""
        depths, ranks = self.graph.depths, self.graph.ranks
        waiting: dict[int, set[str]] = {}
        for name in self._candidates:
            if name in depths:
                waiting.setdefault(depths[name], set()).add(name)
        while waiting:
            level = sorted(waiting.pop(min(waiting)), key=ranks.__getitem__)
            self._load(level)
            for name in level:
                self._visit(self.graph.vertices[name], self._candidates[name])
                for reader, edge in self.graph.readers.get(name, ()):
                    if self._follow(name, reader, edge):
                        waiting.setdefault(depths[reader.name], set()).add(reader.name)

    def _load(self, names: Iterable[str]) -> None:
        """Read the candidates of some assets at once, with the versions of what they cannot do without."""
        built = [self.graph.vertices[one] for one in names]
        built = [vertex for vertex in built if vertex.kind != "source"]
        self.view.load([(one.name, key) for one in built for key in self._candidates[one.name]])
        self.view.load_versions(
            (edge.upstream, needed)
            for vertex in built
            for key in self._candidates[vertex.name]
            for edge in vertex.reads
            for needed in self.view.required(edge, key)
        )

    def _follow(self, upstream: str, reader: Vertex, edge: Edge) -> bool:
        """Add the reader's partitions that unsettled ones of ``upstream`` reach; whether there are any."""
        changing = self._unsettled.get(upstream)
        if not changing or reader.kind == "model" or reader.automation == "manual":
            return False
        known = () if edge.mapping.is_open else self._readers_keys(reader, edge)
        reached = {
            key
            for moved in changing
            for key in edge.mapping.downstream(moved, known)
            if key in reader.partitions
        }
        self._candidates.setdefault(reader.name, set()).update(reached)
        return bool(reached)

    def _readers_keys(self, reader: Vertex, edge: Edge) -> tuple[str, ...]:
        # Mappings of partition to partition do not ask which exist; the others reach all that do.
        if not reader.is_partitioned:
            return ("",)
        return self.view.possible_keys(reader, self.now) if edge.mapping.needs_keys else ()

    def _visit(self, vertex: Vertex, keys: set[str]) -> None:
        if vertex.kind == "source":
            self.settled |= {(vertex.name, key) for key in keys}
            return
        for key in sorted(keys):
            self._dispose(vertex, (vertex.name, key))

    def _dispose(self, vertex: Vertex, pair: Pair) -> None:
        if pair[1] not in vertex.partitions:
            self._rest(pair)
        elif pair in self.running:
            self._hold(pair, self._decision(pair, "wait", "it is being built", run_id=self.running[pair]))  # fmt: skip
        else:
            moving = self._moving_inputs(vertex, pair)
            standing = self._standing(vertex, pair, is_moving=bool(moving))
            if standing.is_fine and not moving:
                self._rest(pair)
            elif vertex.automation == "manual":
                self.decisions[pair] = self._decision(pair, "manual", standing.because)
            else:
                self._go_or_hold(vertex, pair, standing, moving)

    def _standing(self, vertex: Vertex, pair: Pair, *, is_moving: bool) -> Standing:
        standing = self.train(vertex, is_moving) if vertex.kind == "model" else self.view.standing(pair)  # fmt: skip
        self.standings[pair] = standing
        return standing

    def _go_or_hold(
        self, vertex: Vertex, pair: Pair, standing: Standing, moving: set[Pair]
    ) -> None:
        if vertex.kind == "model" and standing.is_fine:
            self._rest(pair)
            return
        if standing.level == MISSING and not self._is_due(vertex, pair):
            self._rest(pair)
            return
        stop = self._failed(pair)
        if stop and not moving:
            self._stop(pair, stop, standing)
            return
        first = min((one for one in moving if one in self.held), default=None)
        if first is None and stop and standing.level == MISSING:
            first = min(
                moving
            )  # a step can pass over a partition that exists, not over one that does not
        if first is not None:
            self._hold(pair, self._waiting(pair, first))
            return
        if lacking := self._lacking(vertex, pair, moving):
            self._lack(pair, standing, lacking)
            return
        if stop:  # what it reads may change, and then it is worth another attempt
            self.unless[pair] = self.view.key(pair)
        self.going[pair] = moving
        self._unsettled.setdefault(pair[0], set()).add(pair[1])

    def _moving_inputs(self, vertex: Vertex, pair: Pair) -> set[Pair]:
        """Unsettled partitions that the pair reads."""
        found: set[Pair] = set()
        for edge in vertex.reads:
            changing = self._unsettled.get(edge.upstream)
            if not changing:
                continue
            known: tuple[str, ...] = ()
            if edge.mapping.is_open:
                known = tuple(sorted({*self.view.keys(edge.upstream), *changing}))
            wanted = edge.mapping.upstream(pair[1], known)
            found |= {(edge.upstream, key) for key in wanted if key in changing}
        return found

    def _is_due(self, vertex: Vertex, pair: Pair) -> bool:
        """Whether the time of a partition that was never built has come."""
        return vertex.has_by(pair[1], self.now) and not self.view.lacks_history(
            vertex, self._unsettled
        )

    def _lacking(self, vertex: Vertex, pair: Pair, moving: set[Pair]) -> Pair | None:
        """A partition without which the pair cannot be built, and which nothing is about to build."""
        for edge in vertex.reads:
            if edge.mapping.is_open and any(one[0] == edge.upstream for one in moving):
                continue
            for key in self.view.required(edge, pair[1]):
                one = (edge.upstream, key)
                if one not in moving and self.view.version(one) is None:
                    return one
        return None

    def _lack(self, pair: Pair, standing: Standing, lacking: Pair) -> None:
        failed = self.decisions.get(lacking)
        if failed is not None and failed.action in ("gave_up", "blocked", "manual"):
            self.decisions[pair] = self._decision(pair, "blocked", f"{place(*lacking)} {_WHY[failed.action]}", by=lacking)  # fmt: skip
        elif standing.level == STALE:
            self.decisions[pair] = self._decision(pair, "blocked", f"{standing.because}, and {place(*lacking)} does not exist", by=lacking)  # fmt: skip
        else:
            self._rest(pair)  # nobody has what it would be made from: it is not due

    def _failed(self, pair: Pair) -> Decision | None:
        """The decision that earlier failures of the same inputs and code ask for, if any."""
        attempt = self.view.attempts.get(pair)
        if attempt is None or attempt.key != self.view.key(pair):
            return None
        said = attempt.error.strip().splitlines()[0] if attempt.error.strip() else "no reason given"
        if attempt.failures >= self.budget.attempts:
            reason = f"it failed {attempt.failures} times with the same inputs and code: {said}"
            return self._decision(pair, "gave_up", reason, run_id=attempt.run_id)
        until = attempt.last_ts + self.budget.pause(attempt.failures)
        if until <= self.now:
            return None
        reason = f"it failed ({attempt.failures} of {self.budget.attempts}): {said}"
        return self._decision(pair, "backed_off", reason, until=until, run_id=attempt.run_id)

    def _stop(self, pair: Pair, stop: Decision, standing: Standing) -> None:
        if stop.action == "backed_off":
            self._hold(pair, stop)
        elif not standing.is_fine:
            self.decisions[pair] = stop
        else:
            self._rest(pair)

    def _waiting(self, pair: Pair, upstream: Pair) -> Decision:
        held = self.held.get(upstream)
        run_id = held.run_id if held is not None and held.action == "wait" else ""
        run = f" in run {run_id[:8]}" if run_id else ""
        return self._decision(pair, "wait", f"{place(*upstream)} may change{run}", by=upstream, run_id=run_id)  # fmt: skip

    def _hold(self, pair: Pair, decision: Decision) -> None:
        self.held[pair] = decision
        self._unsettled.setdefault(pair[0], set()).add(pair[1])
        # A model is on no agenda while it learns: people would be told that nothing is done about it.
        is_learning = pair in self.running and self.graph.vertices[pair[0]].kind == "model"
        if pair in self.agenda or decision.action != "wait" or is_learning:
            self.decisions[pair] = decision

    def _rest(self, pair: Pair) -> None:
        if pair in self.agenda:
            self.settled.add(pair)

    def _decision(self, pair: Pair, action: Action, reason: str, **more: object) -> Decision:
        return Decision(action=action, asset=pair[0], partition=pair[1], reason=reason, since=self.agenda.get(pair, self.now), **more)  # type: ignore[arg-type]  # fmt: skip


_WHY = {
    "gave_up": "failed for good and was never built",
    "blocked": "is blocked itself",
    "manual": "is built by people only",
}
