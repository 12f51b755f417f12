"""From partitions that can go to few runs: chains and contiguous partitions together, what failed before apart.

A run of Dagster's has one range of partitions for all its assets, and a step that has nothing to do skips itself in
milliseconds, so distant partitions that meet in one reader share a run as long as the gap is cheap. But Dagster notes
every partition of the range as materialized, so a range never spans one that does not exist and is not built. Partitions
that failed are tried in ever smaller pieces, so that one bad day does not hold up the others.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from lakeline.freshness.graph import Pair
from lakeline.window import Window, day_start

GAP_DAYS = 366
"""Idle days that a run may span: about a second of skipping."""
PIECES = 4
"""Pieces into which a run's days are cut after each failure."""


def joined(
    going: Mapping[Pair, set[Pair]],
    failures: Mapping[Pair, int],
    existing: Callable[[str], Collection[str]],
) -> list[set[Pair]]:
    """The partitions of each run.

    Args:
        going: Partitions that can go, with those they read that go with them; upstream first.
        failures: How often partitions failed with their present inputs and code.
        existing: Partitions of an asset that exist.

    Returns:
        Sets of pairs that can each be built alone. A pair that reads from two of them is in none: its turn comes when
        both are done.
    """
    runs = []
    for group, failed in _connected(going, failures):
        runs += _apart(group, _pieces(group, failed, existing), going)
    return runs


def _connected(
    going: Mapping[Pair, set[Pair]], failures: Mapping[Pair, int]
) -> list[tuple[list[Pair], int]]:
    """Pairs that hang together by what they read, upstream first, with how often the worst of them failed."""
    root: dict[Pair, Pair] = {pair: pair for pair in going}

    def find(pair: Pair) -> Pair:
        while root[pair] != pair:
            root[pair] = root[root[pair]]
            pair = root[pair]
        return pair

    for pair, inputs in going.items():
        for one in inputs:
            root[find(one)] = find(pair)
    groups: dict[Pair, list[Pair]] = {}
    for pair in going:
        groups.setdefault(find(pair), []).append(pair)
    return _neighbours(groups.values(), failures)


def _neighbours(
    groups: Iterable[list[Pair]], failures: Mapping[Pair, int]
) -> list[tuple[list[Pair], int]]:
    """Groups of the same assets that failed as often, as one: 60 days of a table are one run."""
    found: dict[tuple[frozenset[str], int], list[Pair]] = {}
    for group in groups:
        failed = max((failures.get(pair, 0) for pair in group), default=0)
        found.setdefault((frozenset(asset for asset, _ in group), failed), []).extend(group)
    return [(group, failed) for (_, failed), group in found.items()]


def _pieces(
    group: Sequence[Pair], failures: int, existing: Callable[[str], Collection[str]]
) -> list[set[str]]:
    """Days that may share a run: cut at wide gaps and at partitions that nobody builds, smaller after each failure."""
    assets_of: dict[str, set[str]] = {}
    for asset, key in group:
        if key:
            assets_of.setdefault(key, set()).add(asset)
    days = sorted(assets_of)
    size = max(1, -(-len(days) // PIECES**failures)) if failures else len(days)
    pieces: list[list[str]] = []
    for day in days:
        fits = pieces and len(pieces[-1]) < size and _gap(pieces[-1][-1], day) <= GAP_DAYS
        if not fits or _has_hole([*pieces[-1], day], assets_of, existing):
            pieces.append([])
        pieces[-1].append(day)
    return [set(piece) for piece in pieces]


def _has_hole(
    days: Sequence[str],
    assets_of: Mapping[str, set[str]],
    existing: Callable[[str], Collection[str]],
) -> bool:
    """Whether a range would claim partitions that neither exist nor are built."""
    before, last = days[-2], days[-1]
    assets = set().union(*(assets_of[day] for day in days))
    between = _days_between(before, last)
    for asset in assets:
        lacking = [day for day in (*days, *between) if asset not in assets_of.get(day, ())]
        if lacking and not set(lacking) <= set(existing(asset)):
            return True
    return False


def _days_between(before: str, day: str) -> tuple[str, ...]:
    if _gap(before, day) <= 1:
        return ()
    return Window.of_days(before, day).partitions[1:-1]


def _gap(before: str, day: str) -> int:
    try:
        return (day_start(day) - day_start(before)).days
    except ValueError:  # static partitions have no distance
        return 0


def _apart(
    group: Iterable[Pair], pieces: list[set[str]], going: Mapping[Pair, set[Pair]]
) -> list[set[Pair]]:
    """The pairs of each piece, without those that read from another piece."""
    if len(pieces) <= 1:
        return [set(group)]
    place: dict[Pair, int] = {}
    for pair in group:  # upstream first
        homes = {place.get(one, -1) for one in going[pair]}
        own = next((i for i, piece in enumerate(pieces) if pair[1] in piece), None)
        home = own if own is not None else min(homes, default=-1)
        place[pair] = home if homes <= {home} else -1
    runs: list[set[Pair]] = [set() for _ in pieces]
    for pair, home in place.items():
        if home >= 0:
            runs[home].add(pair)
    return [run for run in runs if run]
