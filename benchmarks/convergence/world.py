"""The played world: sources, a clock, runs under way, faults, and a reconciler on a real ledger.

A run goes step by step, and anything may happen between the moment at which a step reads and the one at which it
publishes. What was published is kept here too, so that the ledger is compared with something that is not the ledger.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from benchmarks.convergence import oracle
from benchmarks.convergence.cases import (
    CHECK,
    START,
    Asset,
    Assets,
    Case,
    Pair,
    graph_of,
    ordered,
)
from benchmarks.convergence.judging import WrongError, require_sound, require_worth
from benchmarks.convergence.oracle import ABSENT, Held, Inputs, Target, Truth
from benchmarks.convergence.running import Batch, Counts, Fault, Run, as_builds, stretches, strikes
from lakeline.freshness.budget import Budget
from lakeline.freshness.decision import InFlight, Plan, RunPlan
from lakeline.freshness.reconciler import Reconciler
from lakeline.freshness.view import View
from lakeline.ledger import Cost, Ledger, State
from lakeline.ledger.recovery import recover

MINUTE = dt.timedelta(minutes=1)
PAUSES = (5 * MINUTE, 15 * MINUTE)


@dataclass(kw_only=True)
class World:
    """One case being played.

    Attributes:
        present: The sources as they are; ``truth`` has them as they were last seen.
        ended: Runs that ended badly and have not been told of.
        lake: What was written, oldest first.
        pending: What of it the ledger does not count as published, by batch.
        saved: Called when something happened outside of the ledger that outlives this process.
        faults: By partition.
        tries: Failed tries of each partition with its present code and inputs.
        kills: Runs that were killed.
    """

    case: Case
    ledger: Ledger
    truth: Truth = field(init=False)
    reconciler: Reconciler = field(init=False)
    present: dict[Pair, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)
    ended: list[Run] = field(default_factory=list)
    lake: list[Batch] = field(default_factory=list)
    pending: dict[str, Batch] = field(default_factory=dict)
    faults: dict[Pair, Fault] = field(default_factory=dict)
    tries: Counts = field(default_factory=Counts)
    failures: Counts = field(default_factory=Counts)
    kills: Counter[Pair] = field(default_factory=Counter)
    saved: Callable[[], None] = lambda: None
    built: int = 0
    ticks: int = 0
    _seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.truth = Truth(assets=ordered(self.case.assets), now=START, given_up=self.is_given_up)
        self.restart()

    # --- the process --------------------------------------------------------------------------

    def restart(self) -> None:
        """A new process, which knows nothing but the ledger."""
        budget = Budget(runs=self.case.runs, attempts=self.case.attempts, pauses=PAUSES)
        self.reconciler = Reconciler(graph_of(self.truth.assets), self.ledger, budget)

    def deploy(self, assets: Assets) -> None:
        """New code."""
        self.truth.assets = assets
        self.restart()

    def tick(self, *, is_lost: bool = False) -> Plan:
        """Look at the sources, tell of what failed, tick, and launch; or die before anything is launched."""
        self.ticks += 1
        self.truth.now += MINUTE
        self.observe()
        self._tell_failures()
        plan = self.reconciler.tick(self.truth.now, self._in_flight())
        require_sound(plan, self)
        if is_lost:
            self.restart()
        elif plan.runs:
            known = oracle.fixpoint(self.truth)
            before = self._versions(known)
            self.runs += [self._launched(run, known, before) for run in plan.runs]
            self.saved()
        return plan

    def observe(self, sources: Sequence[str] | None = None) -> None:
        """See what sources have; what has not changed since it was seen last is not looked at."""
        for asset in self.truth.assets.values():
            if asset.kind != "source" or not (sources is None or asset.name in sources):
                continue
            found = {pair: v for pair, v in self.present.items() if pair[0] == asset.name}
            before = {pair: v for pair, v in self.truth.sources.items() if pair[0] == asset.name}
            if found != before or asset.name not in self._seen:
                self._see(asset.name, found)
                self.truth.sources = {pair: v for pair, v in self.truth.sources.items() if pair not in before} | found  # fmt: skip

    def _see(self, source: str, found: Mapping[Pair, str]) -> None:
        versions = {key: version for (_, key), version in found.items()}
        self.ledger.observe(source, versions, watermark=None, observed_ts=self.truth.now, is_complete=True)  # fmt: skip
        self._seen.add(source)

    def _tell_failures(self) -> None:
        for pair, (key, _) in list(self.tries.held.items()):
            if pair[0] not in self.truth.assets or key != self.failure_key(pair):
                del self.tries.held[pair]
        while self.ended:
            run = self.ended[0]
            tried = self.reconciler.failed(run.run_id, run.steps, errors=run.errors, now=self.truth.now)  # fmt: skip
            for pair in tried:
                self.failures.add(pair, self.failure_key(pair))
            self.ended.pop(0)

    def _in_flight(self) -> list[InFlight]:
        return [InFlight(run_id=one.run_id, partitions=one.steps) for one in self.runs]

    def _launched(self, plan: RunPlan, known: Mapping[Pair, Target], before: dict[Pair, str]) -> Run:  # fmt: skip
        return Run(steps=dict(plan.steps), assets=self.truth.assets, unless=plan.unless, known=known, before=before)  # fmt: skip

    # --- what is known of failures ------------------------------------------------------------

    def failure_key(self, pair: Pair) -> object:
        """What decides whether another try is worth it: code and inputs."""
        asset = self.truth.assets[pair[0]]
        declared = oracle.inputs_of(asset, pair[1], self.truth.assets, self.truth.keys, self.truth.version, declared=True)  # fmt: skip
        return asset.code, declared

    def is_given_up(self, pair: Pair, code: int, inputs: Inputs) -> bool:
        """Whether it failed as often as is allowed."""
        return self.failures.of(pair, (code, inputs)) >= self.case.attempts

    # --- runs ---------------------------------------------------------------------------------

    def advance(self, run: Run) -> None:
        """Let a run read, or publish what it has read; at its end it leaves."""
        if run.reading is None:
            self._read(run)
        else:
            self._publish(run, run.reading)
        if run.is_over:
            self.end(run)

    def end(self, run: Run) -> None:
        """Let a run end."""
        self.runs.remove(run)
        if run.errors and not run.by_person:
            self.ended.append(run)

    def kill(self, run: Run, how: int) -> None:
        """Let its process die: where it is, with its data written and nobody told, or with everything but its end."""
        name = list(run.steps)[run.at]
        if run.reading and how:
            write = self._commit if how == 1 else self._record
            write(name, self._builds(run, name, run.reading))
        self.kills.update(run.pairs)
        run.errors = {"": "its process was lost"}
        self.end(run)

    def _read(self, run: Run) -> None:
        name = list(run.steps)[run.at]
        asset = run.assets[name]
        if run.undone & {read.upstream for read in asset.reads}:
            run.undone.add(name)
            run.at += 1
            return
        self.mend(name)
        self.observe([read.upstream for read in asset.reads])
        todo = self._todo(run, asset, run.steps[name])
        run.reading = {key: self._inputs(run, asset, key) for key in todo} or None
        if run.reading is None:
            run.at += 1
        elif not run.by_person:
            require_worth(run, asset, run.reading, self)

    def _todo(self, run: Run, asset: Asset, keys: Sequence[str]) -> list[str]:
        """What a step builds; it compares with the present as lakeline's steps do, by the code that it runs."""
        if run.by_person:
            return [key for key in keys if oracle.can_be_built(asset, key, run.assets, self.truth.keys)]  # fmt: skip
        view = View(graph_of(run.assets), self.ledger)
        return [
            key
            for key in keys
            if not view.standing((asset.name, key)).is_fine
            and run.unless.get((asset.name, key)) != view.key((asset.name, key))
        ]

    def _inputs(self, run: Run, asset: Asset, key: str) -> Inputs:
        return oracle.inputs_of(asset, key, run.assets, self.truth.keys, self.truth.version)

    def _publish(self, run: Run, reading: dict[str, Inputs]) -> None:
        name = list(run.steps)[run.at]
        run.reading, run.at = None, run.at + 1
        for stretch in stretches(list(reading)):
            struck = [key for key in stretch if self._fails(run, name, key, reading[key])]
            if struck:
                run.errors[name] = "it does not work"
                run.undone.add(name)
                return
            self._record(name, self._builds(run, name, {key: reading[key] for key in stretch}))

    def _fails(self, run: Run, name: str, key: str, inputs: Inputs) -> bool:
        asset, pair = run.assets[name], (name, key)
        fault = self.faults.get(pair)
        does = not oracle.can_be_built(asset, key, run.assets, self.truth.keys)
        if fault is not None:
            does = does or strikes(fault, asset, inputs)
        if does and not run.by_person:
            times = self.tries.add(
                pair, self.failure_key(pair) if name in self.truth.assets else None
            )
            if times > self.case.attempts:
                raise WrongError(f"{pair} was tried {times} times")
        return does

    # --- what is published --------------------------------------------------------------------

    def _builds(self, run: Run, name: str, reading: Mapping[str, Inputs]) -> dict[str, Held]:
        asset = run.assets[name]
        return {key: self._built(asset, inputs) for key, inputs in reading.items()}

    def _built(self, asset: Asset, inputs: Inputs) -> Held:
        made = Held(version=oracle.content(asset, inputs), inputs=inputs, code=asset.code)
        if asset.kind != "model":
            return made
        newest = dict(sorted(inputs))
        read = {pair: self._code_of(pair, inputs[pair]) for pair in newest.items()}
        codes = {pair: code for pair, code in read.items() if code is not None}
        return replace(made, codes=codes, until=oracle.learned_until(inputs))

    def _code_of(self, pair: Pair, version: str) -> int | None:
        """Code of the newest build of a partition that made a version."""
        made = (one.builds[pair[1]] for one in reversed(self.lake) if one.name == pair[0] and pair[1] in one.builds)  # fmt: skip
        return next((held.code for held in made if held.version == version), None)

    def _record(self, name: str, builds: dict[str, Held]) -> None:
        batch = self._commit(name, builds)
        now = self.truth.now
        cost = Cost(started_ts=now, ended_ts=now, cpu_s=0, peak_rss_bytes=0)
        self.ledger.publish(batch, None, cost)
        self.put(self.pending.pop(batch))

    def _commit(self, name: str, builds: dict[str, Held]) -> str:
        """Data in the lake, of which the ledger has only heard that they would come."""
        made = Batch(name=name, builds=builds, at=self.truth.now)
        self._check(made)
        self.ledger.begin(made.batch, as_builds(name, builds), self.truth.now)
        self.lake.append(made)
        self.pending[made.batch] = made
        self.saved()
        return made.batch

    def mend(self, name: str) -> None:
        """What a step does first: take up what a lost process left in the lake."""
        committed = {one.batch: at for at, one in enumerate(self.lake, 1) if one.name == name}
        for batch in recover(self.ledger, name, committed).published:
            self.put(self.pending.pop(batch))

    def put(self, batch: Batch) -> None:
        """Know of a batch that the ledger has published."""
        for key, held in batch.builds.items():
            self.truth.held[batch.name, key] = held
            self.failures.held.pop((batch.name, key), None)
            self.built += 1
        if self._is_a(batch.name, "model"):
            self.truth.trained.setdefault(batch.name, []).append(batch.at)
        if self._is_a(batch.name, "report"):
            (self.truth.failing.discard if batch.is_passed else self.truth.failing.add)(batch.name)

    def _check(self, batch: Batch) -> None:
        if self._is_a(batch.name, "report"):
            word = "passed" if batch.is_passed else "failed"
            state = State(asset=batch.name, name=f"check:{CHECK}", state=word)
            self.ledger.set_states([state], self.truth.now)

    def _is_a(self, name: str, kind: str) -> bool:
        return name in self.truth.assets and self.truth.assets[name].kind == kind

    def forget(self, pair: Pair) -> None:
        """Somebody deletes a partition from the lake."""
        self.lake.append(Batch(name=pair[0], builds={}, gone=pair[1], at=self.truth.now))
        self.saved()
        self.ledger.forget(pair[0], [pair[1]])
        self.truth.held.pop(pair, None)
        for run in self.runs:
            run.before.pop(pair, None)

    def _versions(self, known: Mapping[Pair, Target]) -> dict[Pair, str]:
        return {
            **dict.fromkeys(known, ABSENT),
            **self.truth.sources,
            **{pair: held.version for pair, held in self.truth.held.items()},
        }
