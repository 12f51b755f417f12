"""Which of the days asked for each asset takes, and in how many runs: domains may begin and end on different days."""

import datetime as dt
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.cli.keys import OutsideRangeError
from lakeline.errors import DomainError, names

if TYPE_CHECKING:
    import dagster as dg

    from lakeline.project import Project

Days = tuple[str, str]
"""First and last day, both included, ``YYYY-MM-DD``."""


class NoDayError(DomainError):
    """No asset has a day that is asked for."""

    def __init__(self, day: str, calendars: Iterable[Days]) -> None:
        has = sorted({f"{first} to {last}" for first, last in calendars})
        super().__init__(f"No asset has a day {day}. Their days are {names(has, 5)}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class Portion:
    """What one run builds.

    Attributes:
        days: Of its daily assets; today where none is daily.
        assets: In an order in which everything comes after what it reads.
    """

    days: Days
    assets: "list[dg.AssetKey]"


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrangement:
    """The runs of a backfill, one after the other, and what has no day in them.

    Attributes:
        portions: The runs.
        left_out: Assets that have no day of those asked for, or read one that was never built for that reason.
    """

    portions: list[Portion]
    left_out: "list[dg.AssetKey]"


def arrange(
    project: "Project",
    assets: "Sequence[dg.AssetKey]",
    first: str | None,
    last: str | None,
    *,
    is_strict: bool,
) -> Arrangement:
    """The runs that build the days from ``first`` to ``last``, both included.

    Args:
        project: Whose assets.
        assets: In an order in which everything comes after what it reads.
        first: None for the first day of each asset.
        last: None for the last day of each asset.
        is_strict: Whether each daily asset must have both days. If not, each takes those that it has.

    Raises:
        OutsideRangeError: One lacks a day, and ``is_strict``.
        NoDayError: All daily ones lack it.
    """
    all_days = calendars_of(project)
    calendars = {key: all_days[key] for key in assets if key in all_days}
    for day in filter(None, (first, last)):
        lacking = [key for key, days in calendars.items() if not days[0] <= day <= days[1]]
        if lacking and is_strict:
            raise OutsideRangeError(lacking[0].to_user_string(), day, *calendars[lacking[0]])
        if lacking and len(lacking) == len(calendars):
            raise NoDayError(day, calendars.values())
    taken = {
        key: (max(first or days[0], days[0]), min(last or days[1], days[1]))
        for key, days in calendars.items()
    }
    return _in_runs(project, assets, taken)


def calendars_of(project: "Project") -> "dict[dg.AssetKey, Days]":
    """First and last day that each daily asset can have, by its own partitions and by those that it reads day by day."""
    graph = project.definitions.resolve_asset_graph()
    nodes = project.nodes
    found: dict[dg.AssetKey, Days] = {}
    for key in graph.toposorted_asset_keys:
        partitions = graph.get(key).partitions_def
        if partitions is None:
            continue
        own = (str(partitions.get_first_partition_key()), str(partitions.get_last_partition_key()))
        node = nodes.get(key.to_user_string())
        read = [
            found[read.asset.key]
            for read in (node.reads if node else ())
            if read.mapping(reader_is_daily=True) == "days" and read.asset.key in found
        ]
        found[key] = (
            max([own[0], *(days[0] for days in read)]),
            min([own[1], *(days[1] for days in read)]),
        )
    return found


def _in_runs(
    project: "Project", assets: "Sequence[dg.AssetKey]", taken: "Mapping[dg.AssetKey, Days]"
) -> Arrangement:
    """Each asset in the first run of its days that comes after what it reads; one without days goes with any."""
    graph = project.definitions.resolve_asset_graph()
    chosen = frozenset(assets)
    left_out: list[dg.AssetKey] = []
    runs: dict[dg.AssetKey, int] = {}
    days_of: list[Days | None] = []
    for key in assets:
        parents = graph.get(key).parent_keys & chosen
        days = taken.get(key)
        if _is_left_out(project, days, parents, absent=parents - runs.keys()):
            left_out.append(key)
            continue
        earliest = max((runs[one] for one in parents & runs.keys()), default=0)
        fitting = (
            number
            for number, held in enumerate(days_of[earliest:], earliest)
            if days is None or held in (None, days)
        )
        number = next(fitting, len(days_of))
        if number == len(days_of):
            days_of.append(days)
        days_of[number] = days_of[number] or days
        runs[key] = number
    today = dt.datetime.now(dt.UTC).date().isoformat()
    portions = [
        Portion(
            days=days or (today, today), assets=[key for key in assets if runs.get(key) == number]
        )
        for number, days in enumerate(days_of)
    ]
    return Arrangement(portions=portions, left_out=left_out)


def _is_left_out(
    project: "Project",
    days: Days | None,
    parents: "Collection[dg.AssetKey]",
    absent: "Collection[dg.AssetKey]",
) -> bool:
    """Whether an asset has no day, or nothing new to read, or lacks what is left out and was never built."""
    if days is None and parents and len(absent) == len(parents):
        return True
    ledger = project.house.ledger
    lacks = any(not ledger.current(one.to_user_string()) for one in absent)
    return lacks or (days is not None and days[0] > days[1])
