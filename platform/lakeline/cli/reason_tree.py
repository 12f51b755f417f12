"""The tree that `lakeline why` prints: a partition, its build, and what that read, each partition told once."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from lakeline.cli.console import SHORT, count, moment, seconds, size
from lakeline.freshness.sources import PREFIX

if TYPE_CHECKING:
    from rich.tree import Tree

    from lakeline.cli.explain import Reading, Reason

SHOWN_MOVED = 3
SHOWN_EARLIER = 3
OUTSIDE = "(outside Dagster)"


def tree(reason: "Reason", models: Collection[str] = ()) -> "Tree":
    """A reason with everything it rests on.

    Args:
        reason: Of the partition.
        models: Names of the assets that are models, which changed inputs alone do not make anybody build again.
    """
    from rich.tree import Tree

    return _Grower(models).grown(Tree(f"[bold]{_place(reason.asset, reason.partition)}"), reason)


class _Grower:
    """Grows one tree, in which each partition is told once."""

    def __init__(self, models: Collection[str]) -> None:
        self._models = models
        self._told: set[tuple[str, str]] = set()

    def grown(self, branch: "Tree", reason: "Reason") -> "Tree":
        self._told.add((reason.asset, reason.partition))
        for line in _facts(reason, is_model=reason.asset in self._models):
            branch.add(line)
        for reading in reason.readings:
            twig = branch.add(f"read {_named(reading)}{_verdict(reading)}")
            for line in _reading_facts(reading):
                twig.add(line)
            if (origin := reading.origin) is not None:
                self._origin(twig, origin)
        return branch

    def _origin(self, twig: "Tree", origin: "Reason") -> None:
        if (origin.asset, origin.partition) in self._told:
            twig.add(f"[dim]{_place(origin.asset, origin.partition)}, see above")
        else:
            self.grown(twig.add(f"[bold]{_place(origin.asset, origin.partition)}"), origin)


def _facts(reason: "Reason", *, is_model: bool) -> Iterator[str]:
    build, current = reason.build, reason.current
    yield (
        f"built {moment(current.ended_ts)} UTC by run {build.run_id or OUTSIDE}, {build.placement}, "
        f"in {seconds(build.wall_s)} ({seconds(build.cpu_s)} cpu)"
    )
    rows = f"{count(current.rows, 'row')}, " if current.rows else ""
    reach = f", complete up to {moment(current.watermark)} UTC" if current.watermark else ""
    yield f"{rows}{size(current.bytes)}, version {current.version[:SHORT]}{reach}"
    table = reason.asset.replace("/", ".", 1)
    in_snapshot = current.snapshot_id is not None
    yield _code(reason) + (f"[/]; in snapshot {current.snapshot_id} of table {table}" if in_snapshot else "")  # fmt: skip
    yield _state(reason, is_model=is_model)
    yield from _earlier(reason)


def _code(reason: "Reason") -> str:
    built_by = reason.current.code_version
    if reason.present_code is None:
        return f"[default]code {built_by}; [yellow]the asset is no longer declared[/]"
    if built_by == reason.present_code:
        return f"[default]code {built_by}, the present one"
    return f"[default]code {built_by}; [yellow]the present code is {reason.present_code}, so building it again may change it[/]"


def _state(reason: "Reason", *, is_model: bool) -> str:
    if not reason.readings:
        return "[green]consistent[/green]: it is read from a source, not from other assets"
    if all(one.asset.startswith(PREFIX) for one in reason.readings) and not reason.current.marked:
        return "[green]consistent[/green]: it is read from a source, which is as it was"
    if not reason.current.marked:
        return "[green]consistent[/green]: everything that it read is still the present version"
    moved = f"{reason.current.marked_by} has another version than the one that was read"
    if is_model:
        return f"[yellow]noted[/yellow]: {moved}. A model is trained again for reasons of its own"
    days = f"--from {reason.partition} --to {reason.partition} " if reason.partition else ""
    return f"[yellow]to build again[/yellow]: {moved}. Run: lakeline backfill {days}--select {reason.asset}"


def _earlier(reason: "Reason") -> Iterator[str]:
    for one in reason.earlier[:SHOWN_EARLIER]:
        same = (
            "the same content"
            if one.version == reason.current.version
            else f"version {one.version[:SHORT]}"
        )
        yield f"[dim]before: {same}, built {moment(one.ended_ts)} UTC by run {one.run_id or OUTSIDE}"


def _named(reading: "Reading") -> str:
    if reading.asset.startswith(PREFIX):
        return f"its source {_which(reading)}".rstrip()
    return f"[bold]{reading.asset}[/bold] {_which(reading)}".rstrip()


def _verdict(reading: "Reading") -> str:
    if reading.moved:
        return ""
    is_one = len(reading.partitions) == 1
    return f", [green]{'still the present version' if is_one else 'all still the present versions'}[/green]"


def _reading_facts(reading: "Reading") -> Iterator[str]:
    facts = [f"columns {', '.join(reading.columns)}"] if reading.columns else []
    if reading.snapshots:
        facts.append(f"pinned to snapshot {', '.join(str(one) for one in reading.snapshots)}")
    if facts:
        yield "; ".join(facts)
    if reading.absent:
        yield f"[dim]{count(reading.absent, 'partition')} did not exist"
    for one in reading.moved[:SHOWN_MOVED]:
        place = _place(reading.asset, one.partition)
        versions = f"read {one.read[:SHORT] or '-'}, now {one.present[:SHORT] or '-'}"
        yield f"[yellow]{place} {one.said}[/yellow] ({versions})"
    if len(reading.moved) > SHOWN_MOVED:
        yield f"[yellow]and {len(reading.moved) - SHOWN_MOVED} more"


def _which(reading: "Reading") -> str:
    first, last = reading.partitions[0], reading.partitions[-1]
    if len(reading.partitions) == 1:
        return _escaped(first)
    return f"{_escaped(f'{first} to {last}')} ({len(reading.partitions)} partitions)"


def _place(asset: str, partition: str) -> str:
    return f"{asset}{_escaped(partition)}"


def _escaped(partition: str) -> str:
    """The partition in brackets, which would be markup unescaped."""
    return f"\\[{partition}]" if partition else ""
