"""The reconciler: one tick from what changed to a plan, and what failed written down. Everything but Dagster.

A tick costs by what changed. Publishing writes each change down in its own transaction; a tick follows the changes to
the partitions that they reach and keeps those on the ledger's agenda until they are at rest. Everything else is left
alone, except for a slice of the graph that each tick compares anew, so that what bypassed the ledger's marks (a
restored backup, new code, an asset that was renamed) is found too. No state lives here that cannot be lost.
"""

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lakeline.freshness.budget import Budget
from lakeline.freshness.decision import InFlight, Plan
from lakeline.freshness.graph import Graph, Pair, Vertex
from lakeline.freshness.reconcile import reconcile
from lakeline.freshness.view import View
from lakeline.ledger import State
from lakeline.window import WHOLE

if TYPE_CHECKING:
    from lakeline.ledger import Ledger

SLICE_PARTITIONS = 20_000
"""Partitions that a tick compares anew, whether or not something marked them: some tens of milliseconds."""

SWEPT_AT_ONCE = 50
"""Assets whose partitions are held in memory together while they are compared."""

FINGERPRINT = "declared"
"""Name of the ledger's state that holds how an asset was declared when it was last looked at as a whole."""

_NOT_SWEPT = ("source", "model")
"""Kinds that no sweep puts on the agenda: nobody builds a source, and a model has reasons of its own."""


class Reconciler:
    """Keeps a graph consistent, tick by tick.

    Args:
        graph: What there is. A reload of the code makes a new one, and the first tick finds what it declares otherwise.
        ledger: What each partition was built from.
        budget: How much may be under way.
    """

    def __init__(self, graph: Graph, ledger: "Ledger", budget: Budget | None = None) -> None:
        self.graph = graph
        self.ledger = ledger
        self.budget = budget or Budget()
        self._declared_seen = False
        self._next = 0

    def tick(self, now: dt.datetime, in_flight: Sequence[InFlight] = ()) -> Plan:
        """Take in what changed since the last tick, decide, and keep on the agenda what is not at rest."""
        view = View(self.graph, self.ledger)
        changes = self.ledger.changes()
        added = self._reached(view, changes.pairs, now) | self._redeclared(view, now)
        added |= self._slice(now)
        stored = self.ledger.agenda()
        agenda = {**dict.fromkeys(added, now), **stored}
        plan = reconcile(
            self.graph,
            self.ledger,
            now=now,
            in_flight=in_flight,
            budget=self.budget,
            agenda=agenda,
        )
        self.ledger.settle_agenda(
            seq=changes.seq if changes.pairs else None,
            add=added - plan.settled,
            remove=plan.settled & stored.keys(),
            now=now,
        )
        if not self._declared_seen:
            self.remember_declared(now)
        return plan

    def failed(
        self,
        run_id: str,
        partitions: Mapping[str, Sequence[str]],
        *,
        errors: Mapping[str, str],
        now: dt.datetime,
    ) -> tuple[Pair, ...]:
        """Write down a run that did not do all it should: failed, killed or cancelled.

        What it left undone counts as an attempt where it was tried: for the assets of ``errors``, or, if nobody can say
        where it stopped, for what had all its inputs built.

        Args:
            partitions: What it was to build, by asset.
            errors: What went wrong, by asset; under ``""`` what is known of the run as a whole.

        Returns:
            Partitions that count as tried.
        """
        view = View(self.graph, self.ledger)
        pairs = [(a, key) for a, keys in partitions.items() if a in self.graph.vertices for key in keys]  # fmt: skip
        view.load(pairs)
        undone = {pair for pair in pairs if self._is_undone(view, pair)}
        named = {asset for asset in errors if asset}
        tried = {
            pair for pair in undone if (pair[0] in named if named else self._is_first(pair, undone))
        }
        for pair in sorted(tried):
            error = errors.get(pair[0]) or errors.get("", "")
            self.ledger.failed({pair: view.key(pair)}, run_id=run_id, error=error, now=now)
        return tuple(sorted(tried))

    def look(self, now: dt.datetime, *, everything: bool = False) -> set[Pair]:
        """What a tick would take up beside the agenda, without writing anything down.

        Args:
            everything: Whether to compare every partition, as ``verify`` does.
        """
        if everything:
            return self._swept(self.graph.order, now)
        view = View(self.graph, self.ledger)
        return self._reached(view, self.ledger.changes().pairs, now) | self._redeclared(view, now)

    def verify(self, now: dt.datetime) -> set[Pair]:
        """Compare everything anew and put on the agenda what is not as it should be; returns what was found."""
        found = self._swept(self.graph.order, now)
        self.ledger.settle_agenda(seq=None, add=found, remove=(), now=now)
        return found

    def _is_undone(self, view: View, pair: Pair) -> bool:
        # A model is tried for reasons of its own, which a failed attempt leaves as they were.
        if self.graph.vertices[pair[0]].kind == "model":
            return True
        return not view.standing(pair).is_fine

    def _is_first(self, pair: Pair, undone: Collection[Pair]) -> bool:
        vertex = self.graph.vertices[pair[0]]
        reads = {edge.upstream for edge in vertex.reads}
        return not any(asset in reads for asset, _ in undone)

    def _reached(self, view: View, changed: Iterable[Pair], now: dt.datetime) -> set[Pair]:
        """Partitions that changes reach directly, and those that changed themselves."""
        found: set[Pair] = set()
        moved: dict[str, set[str]] = {}
        for asset, key in changed:
            moved.setdefault(asset, set()).add(key)
        for asset, keys in moved.items():
            if asset not in self.graph.vertices:
                continue
            if self.graph.vertices[asset].kind != "source":
                found |= {(asset, key) for key in keys}
            for reader, edge in self.graph.readers.get(asset, ()):
                if reader.kind == "model":
                    continue
                known = view.possible_keys(reader, now) if edge.mapping.needs_keys else ()
                found |= {
                    (reader.name, one)
                    for key in keys
                    for one in edge.mapping.downstream(key, known)
                    if one in reader.partitions
                }
        return found

    def _redeclared(self, view: View, now: dt.datetime) -> set[Pair]:
        """Partitions of assets that are declared otherwise than when they were last looked at; once a graph."""
        if self._declared_seen:
            return set()
        known = {one.asset: one.state for one in self.ledger.states(name=FINGERPRINT)}
        found: set[Pair] = set()
        fresh_names: list[str] = []
        for name in self.graph.order:
            vertex = self.graph.vertices[name]
            if name not in known:
                fresh_names.append(name)
            elif known[name] != _digest(vertex.fingerprint) and vertex.kind not in _NOT_SWEPT:
                found |= {(name, key) for key in view.possible_keys(vertex, now)}
        return found | self._swept(fresh_names, now)

    def remember_declared(self, now: dt.datetime) -> None:
        """Write down that the whole graph was looked at as it is declared now, as the first tick does at its end."""
        states = [
            State(asset=name, partition=WHOLE, name=FINGERPRINT, state=_digest(one.fingerprint))
            for name, one in self.graph.vertices.items()
        ]
        self.ledger.set_states(states, now)
        self._declared_seen = True

    def _slice(self, now: dt.datetime) -> set[Pair]:
        """What a comparison of the next few assets finds."""
        reach = self.ledger.reach()
        chosen: list[str] = []
        partitions = 0
        while partitions < SLICE_PARTITIONS and len(chosen) < len(self.graph.order):
            name = self.graph.order[self._next % len(self.graph.order)]
            self._next += 1
            chosen.append(name)
            partitions += 1 + (reach[name].partitions if name in reach else 0)
        return self._swept(chosen, now)

    def _swept(self, assets: Sequence[str], now: dt.datetime) -> set[Pair]:
        """Partitions of some assets that are missing, marked, or built by other code."""
        found: set[Pair] = set()
        ordered = sorted(assets)  # what reads each other is mostly of one domain, and read once
        for start in range(0, len(ordered), SWEPT_AT_ONCE):
            some = ordered[start : start + SWEPT_AT_ONCE]
            wrong = self.ledger.verify(some)
            found |= {pair for pair in wrong if pair[0] in self.graph.vertices}
            built = [self.graph.vertices[name] for name in some]
            found |= self._compared([one for one in built if one.kind not in _NOT_SWEPT], now)
        return found

    def _compared(self, vertices: Sequence[Vertex], now: dt.datetime) -> set[Pair]:
        # A view of its own, which is forgotten with its keys: a graph may have ten million.
        view = View(self.graph, self.ledger)
        view.load_keys(
            {edge.upstream for one in vertices for edge in one.reads}
            | {one.name for one in vertices}
        )
        found: set[Pair] = set()
        for one in vertices:
            found |= {(one.name, key) for key in view.lacking_keys(one, now)}
        parted = [one for one in vertices if one.is_partitioned]
        found |= {(one.name, WHOLE) for one in vertices if not one.is_partitioned}
        return found | self.ledger.stale_of(
            {one.name: one.code_version if one.rebuilds_on_code else None for one in parted}
        )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
