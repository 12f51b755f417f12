"""How a system is plugged into the scenarios: what it is told, what it is asked, and nothing about how it works.

To play another system through these scenarios, write a class with the methods of `System` and add it to ``SYSTEMS`` in
``benchmarks/bench_freshness.py``. To play other scenarios against these systems, write functions that take a `Script`
(``benchmarks/freshness/script.py``), or drive a `World` with another `Graph` directly.

The course of a scenario, as a system sees it:

1. ``setup``: the graph, and a history in which everything was built and is consistent.
2. Every so often ``observe`` for each source that changed, and then ``tick``, which answers with what is to be run.
3. Of each run: ``run_started``; for each step, upstream first, ``step_started``, in which the system's own code within
   the step may leave out partitions, and then ``published`` or ``step_failed``; at last ``run_ended``. Runs that people
   start are told in the same way.
4. At any time it may be asked for its claims: ``is_fresh``, ``is_consistent``.

A killed run sends nothing after its death but ``run_ended``, which comes minutes later. If it died between writing its
data and saying so, ``published`` is called with ``is_told=False``: the data are in the lake, and whatever the system
itself would have written after that point is not to be written.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from benchmarks.freshness.graph import Graph, Pair

Outcome = Literal["succeeded", "failed", "killed", "canceled"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Observation:
    """What a landing sensor sees of a source.

    Attributes:
        versions: Version of each partition that is there.
        watermark: Event time up to which the source says it is complete; None if it has no event time.
    """

    source: str
    versions: Mapping[str, str]
    watermark: dt.datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """A run that a system asks for.

    Attributes:
        steps: Partitions to build, by asset.
        fails_apart: Whether partitions of a step fail each by itself, as in a backfill of many runs; otherwise a step fails
            as a whole, with everything downstream of it in the run.
        note: Whatever the system wants to find again in the run.
    """

    steps: Mapping[str, Sequence[str]]
    fails_apart: bool = False
    note: object = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """A run under way.

    Attributes:
        steps: Partitions by asset, upstream first.
        requested_ts: When it was asked for.
    """

    run_id: str
    steps: Mapping[str, tuple[str, ...]]
    requested_ts: dt.datetime
    fails_apart: bool = False
    by_person: bool = False
    note: object = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """One partition as it was built.

    Attributes:
        inputs: Version of everything it read, ``ABSENT`` for what did not exist.
        watermark: Smallest among the watermarks of its inputs, at the time it read them.
        checks: Outcome of its checks, by name.
    """

    asset: str
    partition: str
    version: str
    inputs: Mapping[Pair, str]
    code_version: str
    watermark: dt.datetime | None
    checks: Mapping[str, bool] = field(default_factory=dict)


class System(Protocol):
    """What keeps the assets of a graph fresh."""

    name: str

    def setup(
        self,
        graph: Graph,
        history: Sequence[Built],
        sources: Sequence[Observation],
        now: dt.datetime,
    ) -> None:
        """Start with a graph whose partitions were built at ``now`` as ``history`` says, upstream first."""
        ...

    def close(self) -> None:
        """The scenario is over."""
        ...

    def observe(self, seen: Observation, now: dt.datetime) -> None:
        """A source is as ``seen``; called before a tick if it changed since the tick before."""
        ...

    def tick(self, now: dt.datetime) -> Sequence[Request]:
        """What is to be run now; ``now`` is the machine's clock, which may be wrong."""
        ...

    def run_started(self, run: Run, now: dt.datetime) -> None:
        """A run starts, asked for by the system or by a person."""
        ...

    def step_started(
        self,
        run: Run,
        asset: str,
        partitions: Sequence[str],
        sources: Sequence[Observation],
        now: dt.datetime,
    ) -> Sequence[str]:
        """The partitions of the step that are really built; a step without any is over at once.

        ``sources`` are those that the asset reads, as the process that builds it finds them.
        """
        ...

    def published(
        self, run: Run, builds: Sequence[Built], now: dt.datetime, *, is_told: bool
    ) -> None:
        """The builds of one step are in the lake; with ``is_told=False`` the process died before it could say so."""
        ...

    def step_failed(
        self, run: Run, asset: str, partitions: Sequence[str], now: dt.datetime
    ) -> None:
        """A step ended with an error and published nothing."""
        ...

    def run_ended(self, run: Run, outcome: Outcome, now: dt.datetime) -> None:
        """A run is over, or is found dead."""
        ...

    def dropped(self, asset: str, partitions: Sequence[str], now: dt.datetime) -> None:
        """A person deleted partitions of a built asset from the lake."""
        ...

    def redefined(self, graph: Graph, now: dt.datetime) -> None:
        """New code was deployed: the graph is another one."""
        ...

    def restarted(self, now: dt.datetime, *, is_cursor_lost: bool) -> None:
        """The process that ticks was started anew, with or without what it keeps for itself between ticks."""
        ...

    def is_fresh(self, asset: str, now: dt.datetime) -> bool:
        """Whether the system claims that the asset keeps its promise; asked only of assets that have one."""
        ...

    def is_consistent(self, asset: str, partition: str) -> bool | None:
        """Whether it claims that a published partition was built from the present inputs and code; None if it never says."""
        ...
