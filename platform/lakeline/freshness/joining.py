"""From partitions that can go to few runs: chains and contiguous partitions together, what failed before apart.

A run of Dagster's has one range of partitions for all its assets, and a step that has nothing to do skips itself in
milliseconds, so distant partitions that meet in one reader share a run as long as the gap is cheap. But Dagster notes
every partition of the range as materialized, so a range never spans one that does not exist and is not built. Partitions
that failed are tried in ever smaller pieces, so that one bad day does not hold up the others.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from lakeline.freshness.graph import Pair
from lakeline.window import Window, day_start

GAP_DAYS = 366
"""Idle days that a run may span: about a second of skipping."""
PIECES = 4
"""Pieces into which a run's days are cut after each failure."""

Exist = Callable[[Collection[Pair]], bool]


def joined(
    going: Mapping[Pair, set[Pair]],
    failures: Mapping[Pair, int],
    exist: Exist,
) -> list[set[Pair]]:
    """The partitions of each run.

    Args:
        going: Partitions that can go, with those they read that go with them; upstream first.
        failures: How often partitions failed with their present inputs and code.
        exist: Tells whether some partitions are all there.

    Returns:
        Sets of pairs that can each be built alone. A pair that reads from two of them is in none: its turn comes when
        both are done.
    """
    runs = []
    for group, failed in _connected(going, failures):
        days = len({key for _, key in group if key})
        runs += _split(group, going, exist, size=max(1, -(-days // PIECES**failed)))
    return runs


def _split(
    group: Sequence[Pair], going: Mapping[Pair, set[Pair]], exist: Exist, *, size: int
) -> list[set[Pair]]:
    """Runs of at most ``size`` days; what one leaves to another may be a hole in its range, so each is looked at again."""
    pieces = _pieces(group, exist, size=size)
    if len(pieces) <= 1:
        return [set(group)]
    apart = _apart(group, pieces, going)
    return [run for one in apart for run in _split(one, going, exist, size=size)]


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
        # What has no partition cannot be told apart by smaller pieces.
        failed = max((failures.get(pair, 0) for pair in group if pair[1]), default=0)
        found.setdefault((frozenset(asset for asset, _ in group), failed), []).extend(group)
    return [(group, failed) for (_, failed), group in found.items()]


@dataclass(slots=True)
class _Piece:
    """Days that may share a run.

    Attributes:
        days: Those on which something is built.
        spanned: Every day from the first to the last.
        assets: All that is built on any of them.
    """

    days: list[str] = field(default_factory=list)
    spanned: list[str] = field(default_factory=list)
    assets: set[str] = field(default_factory=set)

    def claimed(self, day: str, assets: set[str]) -> list[Pair]:
        """Partitions that the range would claim beyond what it builds, if it went on to ``day``."""
        between = _days_between(self.days[-1], day)
        skipped = [(asset, one) for asset in self.assets | assets for one in between]
        skipped += [(asset, day) for asset in self.assets - assets]
        return skipped + [(asset, one) for asset in assets - self.assets for one in self.spanned]

    def add(self, day: str, assets: set[str]) -> None:
        """Go on to ``day``."""
        between = _days_between(self.days[-1], day) if self.days else ()
        self.days.append(day)
        self.spanned += (*between, day)
        self.assets |= assets


def _pieces(group: Iterable[Pair], exist: Exist, *, size: int) -> list[set[str]]:
    """Days that may share a run: cut at wide gaps and at partitions that nobody builds."""
    assets_of: dict[str, set[str]] = {}
    for asset, key in group:
        if key:
            assets_of.setdefault(key, set()).add(asset)
    pieces: list[_Piece] = []
    for day, assets in sorted(assets_of.items()):
        if not pieces or not _fits(pieces[-1], day, assets, size=size, exist=exist):
            pieces.append(_Piece())
        pieces[-1].add(day, assets)
    return [set(piece.days) for piece in pieces]


def _fits(piece: _Piece, day: str, assets: set[str], *, size: int, exist: Exist) -> bool:
    """Whether a piece can go on to ``day`` without claiming a partition that neither exists nor is built."""
    if len(piece.days) >= size or _gap(piece.days[-1], day) > GAP_DAYS:
        return False
    return exist(piece.claimed(day, assets))


def _days_between(before: str, day: str) -> tuple[str, ...]:
    if _gap(before, day) <= 1:
        return ()
    return Window.of_days(before, day).partitions[1:-1]


def _gap(before: str, day: str) -> int:
    try:
        return (day_start(day) - day_start(before)).days
    except (
        ValueError
    ):  # what lies between two static partitions is theirs to say: each is a run of its own
        return GAP_DAYS + 1


def _apart(
    group: Iterable[Pair], pieces: list[set[str]], going: Mapping[Pair, set[Pair]]
) -> list[list[Pair]]:
    """The pairs of each piece, without those that read from another piece.

    What has no partition and reads nothing that is going belongs to no piece and goes first, in a run of its own.
    """
    first, nowhere = len(pieces), -1
    place: dict[Pair, int] = {}
    for pair in group:  # upstream first
        homes = {place.get(one, nowhere) for one in going[pair]}
        own = next((i for i, piece in enumerate(pieces) if pair[1] in piece), None)
        home = own if own is not None else min(homes, default=first)
        place[pair] = home if homes <= {home} else nowhere
    runs: list[list[Pair]] = [[] for _ in range(first + 1)]
    for pair, home in place.items():
        if home != nowhere:
            runs[home].append(pair)
    return [run for run in runs if run]
