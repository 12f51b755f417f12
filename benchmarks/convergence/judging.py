"""What must never happen while a case is played, and what must be so once everything has come to rest."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from benchmarks.convergence import oracle
from benchmarks.convergence.cases import Asset, Pair
from benchmarks.convergence.oracle import Inputs, Target
from benchmarks.convergence.running import Run, between
from lakeline.freshness.decision import Plan, RunPlan

if TYPE_CHECKING:
    from benchmarks.convergence.world import World


class WrongError(AssertionError):
    """Something that must never happen."""


def require_sound(plan: Plan, world: "World") -> None:
    """Few enough runs, none of which builds what another one builds, and whose ranges hold no unbuilt partition."""
    if len(plan.runs) > max(0, world.case.runs - len(world.runs)):
        raise WrongError("more runs start than are allowed")
    taken = Counter(pair for run in plan.runs for pair in run.pairs)
    taken.update(pair for run in world.runs for pair in run.pairs)
    if twice := [pair for run in plan.runs for pair in run.pairs if taken[pair] > 1]:
        raise WrongError(f"{twice} are built twice at once")
    for run in plan.runs:
        _require_no_hole(run, world)


def require_worth(run: Run, asset: Asset, reading: Mapping[str, Inputs], world: "World") -> None:
    """What a step builds differs from what there is, and is made of nothing that is about to change."""
    for key, inputs in reading.items():
        pair = (asset.name, key)
        held = world.truth.held.get(pair)
        if held is not None and held.inputs == inputs and not oracle.is_code_new(asset, held):
            raise WrongError(f"{pair} is built from what it was built from before")
        early = [read for read, version in inputs.items() if _is_early(run, read, version, world)]
        if early:
            raise WrongError(f"{pair} is built from {early}, known to be about to change")


def _is_early(run: Run, read: Pair, version: str, world: "World") -> bool:
    """Whether it was known when the run was asked for that this version would not stay, for a reason that still stands."""
    known = run.known.get(read, Target(version=version))
    if known.version == version or run.before.get(read) != version:
        return False
    return oracle.fixpoint(world.truth).get(read) == known


def _require_no_hole(run: RunPlan, world: "World") -> None:
    if run.span is None:
        return
    span = set(between(*run.span))
    for name, keys in run.steps.items():
        holes = span - set(keys) - set(world.truth.keys(name)) if keys != ("",) else set()
        if holes:
            raise WrongError(f"a run over {run.span} claims {sorted(holes)} of {name}: {dict(run.steps)}")  # fmt: skip


def require_rest(world: "World", plan: Plan) -> None:
    """Every partition as the oracle says, the ledger as it should be, and nobody waiting for anything."""
    targets = oracle.fixpoint(world.truth)
    _require_targets(world, targets)
    _require_ledger(world)
    for one in plan.decisions:
        if one.action not in ("blocked", "gave_up", "manual"):
            raise WrongError(f"{one} at rest")
        pair = (one.asset, one.partition)
        if one.action == "gave_up" and not world.faults.get(pair) and not world.kills[pair]:
            raise WrongError(f"{pair} was given up for what others did")
    if again := world.tick().runs:
        raise WrongError(f"a second tick asks for {again}")


def _require_targets(world: "World", targets: dict[Pair, oracle.Target]) -> None:
    truth = world.truth
    held = {**truth.sources, **{pair: one.version for pair, one in truth.held.items()}}
    wanted = {pair: one.version for pair, one in targets.items()}
    if off := sorted(pair for pair in {*held, *wanted} if held.get(pair) != wanted.get(pair)):
        raise WrongError(f"off: {[(pair, held.get(pair), wanted.get(pair)) for pair in off]}")
    for pair, target in targets.items():
        if target.inputs is not None and truth.held[pair].inputs != target.inputs:
            raise WrongError(f"{pair} is inconsistent")


def _require_ledger(world: "World") -> None:
    """The ledger has what was published, and its marks are those of its inputs."""
    for name in {name for name, _ in world.truth.held}:
        there = {key: held.version for (one, key), held in world.truth.held.items() if one == name}
        if world.ledger.versions(name) != there:
            raise WrongError(f"the ledger has {world.ledger.versions(name)} of {name}, not {there}")
    marked = {(one.asset, one.partition) for one in world.ledger.marked()}
    wrong = marked ^ world.ledger.inconsistent()
    if wrong := {pair for pair in wrong if pair[0] in world.truth.assets}:
        raise WrongError(f"the marks of {sorted(wrong)} are wrong")


def told(plan: Plan) -> str:
    """Every decision of a plan, in words."""
    return "; ".join(map(str, plan.decisions))
