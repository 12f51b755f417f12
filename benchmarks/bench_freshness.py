"""Three ways to keep assets fresh, played through the same scenarios and judged by the same brute-force oracle.

    bench_freshness.py                              every scenario under every system, then the result as JSON
    bench_freshness.py --scenario killed-run        one scenario with its timeline under each system
    bench_freshness.py --systems lakeline           some systems only
    bench_freshness.py --markdown docs/table.md     the table of scenarios as Markdown too

The systems: ``eager`` is Dagster's FreshnessPolicy with AutomationCondition.eager(); ``strongest`` the strongest
condition that Dagster's own operators allow; ``chained``, left out unless it is named, the same with chains in one run;
``lakeline`` its reconciler. The clock and the builds are played; definitions, event log, evaluators and ledger are real.
"""

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from benchmarks.freshness.graph import the_graph
from benchmarks.freshness.scenarios import SCENARIOS
from benchmarks.freshness.script import Script
from benchmarks.freshness.system import System
from benchmarks.freshness.tally import PATIENCE, Score
from benchmarks.freshness.world import World
from benchmarks.harness import report

PROCESSES = 2
DEFAULT = ("eager", "strongest", "lakeline")
JUDGED = "lakeline"


def _eager() -> System:
    from benchmarks.freshness.dagster_eager import eager_system

    return eager_system()


def _strongest() -> System:
    from benchmarks.freshness.dagster_strongest import strongest_system

    return strongest_system()


def _chained() -> System:
    from benchmarks.freshness.dagster_strongest import chained_system

    return chained_system()


def _lakeline() -> System:
    from benchmarks.freshness.lakeline_system import LakelineSystem

    return LakelineSystem()


SYSTEMS: Mapping[str, Callable[[], System]] = {
    "eager": _eager,
    "strongest": _strongest,
    "chained": _chained,
    "lakeline": _lakeline,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """One scenario under one system."""

    scenario: str
    system: str
    score: Score
    timeline: Sequence[str]
    wall_s: float


Results = Mapping[tuple[str, str], Score]


def main(arguments: Iterable[str] | None = None) -> int:
    """Run the benchmark; the last line is its result as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scenario", action="append", choices=sorted(SCENARIOS))
    parser.add_argument("--systems", nargs="+", choices=sorted(SYSTEMS), default=list(DEFAULT))
    parser.add_argument("--markdown", type=Path, help="file to write the table to")
    options = parser.parse_args(None if arguments is None else list(arguments))
    names = options.scenario or list(SCENARIOS)
    started_s = time.perf_counter()
    played = play_all(names, options.systems, is_told=bool(options.scenario))
    results = {(one.scenario, one.system): one.score for one in played}
    if options.markdown is not None:
        options.markdown.write_text(markdown(results, names, options.systems))
    return _report(results, names, options.systems, time.perf_counter() - started_s)


def play(scenario: str, system: str) -> Played:
    """One scenario under one system; importable, so that another process can call it."""
    warnings.simplefilter("ignore")  # Dagster's own words on what is beta
    logging.disable(logging.WARNING)
    started_s, one, script = time.perf_counter(), SYSTEMS[system](), SCENARIOS[scenario]
    world = World(one, the_graph())
    script.play(Script(world))
    score = world.play(
        hours=script.hours, every_min=script.every_min, may_end_early=script.may_end_early
    )
    one.close()
    wall_s = time.perf_counter() - started_s
    return Played(
        scenario=scenario, system=system, score=score, timeline=world.timeline, wall_s=wall_s
    )


def play_all(names: Sequence[str], systems: Sequence[str], *, is_told: bool) -> list[Played]:
    """Each scenario under each system, in a few processes; a line is printed as each is done."""
    tasks = [(name, system) for system in systems for name in names]
    found: list[Played] = []
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        for one in pool.map(play, *zip(*tasks, strict=True)):
            found.append(one)
            print(f"{one.scenario:40}{one.system:12}{_line(one.score)}", flush=True)
            if is_told:
                print(*(f"    {line}" for line in one.timeline), sep="\n")
    return found


# --- what comes out -------------------------------------------------------------------------------


def figures_of(results: Results, names: Sequence[str], system: str) -> dict[str, object]:
    """The sums of one system."""
    scores = [results[name, system] for name in names]
    samples = sum(one.samples for one in scores)
    return {
        "converged": sum(one.is_converged for one in scores),
        "perfect": sum(one.is_perfect for one in scores),
        "lost_updates": sum(one.lost for one in scores),
        "builds": sum(one.builds for one in scores),
        "surplus_builds": sum(one.surplus for one in scores),
        "early_builds": sum(one.early for one in scores),
        "falsely_fresh_share": sum(one.falsely_fresh for one in scores) / max(samples, 1),
        "falsely_stale_share": sum(one.falsely_stale for one in scores) / max(samples, 1),
        "falsely_consistent": sum(one.falsely_consistent for one in scores),
        "falsely_inconsistent": sum(one.falsely_inconsistent for one in scores),
        "attempts_on_a_permanent_failure": max((one.attempts for one in scores), default=0),
        "ticks": sum(one.ticks for one in scores),
        "runs": sum(one.runs for one in scores),
    }


def slower(results: Results, names: Sequence[str], systems: Sequence[str]) -> list[str]:
    """Scenarios in which another system that got everything right needed fewer ticks than lakeline."""
    others = [system for system in systems if system != JUDGED]
    return [
        name
        for name in names
        for best in [
            min((results[name, s].ticks for s in others if results[name, s].is_right), default=None)
        ]
        if best is not None and results[name, JUDGED].ticks > best
    ]


def markdown(results: Results, names: Sequence[str], systems: Sequence[str]) -> str:
    """The scenario table, a row a scenario, a column a system."""
    head = "| about | scenario | " + " | ".join(systems) + " |\n"
    lines = [head, "|---|---|" + "---|" * len(systems) + "\n"]
    for name in names:
        cells = " | ".join(_cell(results[name, system]) for system in systems)
        what = (SCENARIOS[name].play.__doc__ or "").strip()
        lines.append(f"| {SCENARIOS[name].group} | **{name}**: {what} | {cells} |\n")
    return "".join(lines)


def _report(results: Results, names: Sequence[str], systems: Sequence[str], wall_s: float) -> int:
    figures: dict[str, object] = {"scenarios": len(names)}
    for system in systems:
        figures |= {
            f"{system}_{name}": value for name, value in figures_of(results, names, system).items()
        }
    slow = slower(results, names, systems) if JUDGED in systems else []
    if JUDGED in systems:
        figures["lakeline_slower_in"] = len(slow)
        print("slower than another that is right:", ", ".join(slow) or "nowhere")
        wrong = [name for name in names if not results[name, JUDGED].is_perfect]
        print("not perfect:", ", ".join(wrong) or "none")
    figures["wall_s"] = wall_s
    reach = {
        "scenarios": ">= 45",
        "lakeline_perfect": "all: 0 lost, surplus, early, falsely fresh, falsely stale",
        "lakeline_attempts_on_a_permanent_failure": f"<= {PATIENCE}",
        "lakeline_slower_in": "0, against the best of the others where it is right",
    }
    met = (
        JUDGED in systems
        and len(names) >= 45
        and all(results[name, JUDGED].is_perfect for name in names)
        and not slow
    )
    return report("freshness", figures, reach, met=met)


def _words(score: Score) -> list[str]:
    named = {
        "lost": score.lost,
        "surplus": score.surplus,
        "early": score.early,
        "falsely fresh": score.falsely_fresh,
        "falsely stale": score.falsely_stale,
        "falsely consistent": score.falsely_consistent,
        "falsely inconsistent": score.falsely_inconsistent,
        "attempts": score.attempts if score.attempts > PATIENCE else 0,
    }
    return [f"{number} {name}" for name, number in named.items() if number]


def _line(score: Score) -> str:
    words = ", ".join(_words(score)) or "perfect"
    return f"{score.ticks:3} ticks {score.runs:3} runs {score.builds:4} builds ({score.least} least)  {words}"


def _cell(score: Score) -> str:
    return f"{', '.join(_words(score)) or 'perfect'}; {score.ticks} ticks"


if __name__ == "__main__":
    sys.exit(main())
