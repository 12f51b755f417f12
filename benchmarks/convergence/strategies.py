"""Hypothesis strategies for cases: graphs of every kind of asset and dependency, and what happens to them."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from benchmarks.convergence.cases import REGIONS, Asset, Case, Event, Read, ordered

SHAPES = ("days", "days", "days", "raw", "raw_whole", "raw_regions", "regions", "root", "whole", "whole", "model", "report")  # fmt: skip
KINDS = (
    *("change",) * 5,
    *("tick",) * 7,
    *("advance",) * 8,
    *("break",) * 2,
    *("deploy",) * 2,
    *("kill",) * 2,
    *("person", "forget", "restart", "jump", "vanish", "amnesia", "settle"),
)
SMALL = st.integers(0, 11)


@st.composite
def cases(draw: st.DrawFn, most_assets: int = 8, most_events: int = 24) -> Case:
    """A graph and an order of events."""
    assets: list[Asset] = []
    _add(draw, assets, "raw")
    for _ in range(draw(st.integers(2, most_assets))):
        _add(draw, assets, draw(st.sampled_from(SHAPES)))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=6, max_size=most_events))
    events = [Event(kind="fill", where=draw(SMALL))]
    if draw(st.booleans()):
        events.append(Event(kind="settle"))
    events += [
        Event(kind=kind, which=draw(SMALL), where=draw(SMALL), how=draw(SMALL)) for kind in kinds
    ]
    return Case(
        assets=tuple(ordered(assets).values()),
        events=tuple(events),
        runs=draw(st.integers(1, 3)),
        attempts=draw(st.integers(3, 5)),
    )


def case_of(number: int, **sizes: int) -> Case:
    """The case of a seed."""
    found: list[Case] = []

    @seed(number)
    @settings(max_examples=2, database=None, phases=[Phase.generate], deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example])  # fmt: skip
    @given(cases(**sizes))
    def keep(case: Case) -> None:
        found.append(case)

    keep()
    return found[-1]


def _add(draw: st.DrawFn, assets: list[Asset], shape: str) -> None:
    number = len(assets)
    name = f"a{number}"
    more: dict[str, Any] = {
        "grain": draw(st.sampled_from((0, 0, 2, 3))),
        "rebuilds_on_code": draw(st.integers(0, 5)) > 0,
        "is_manual": draw(st.integers(0, 14)) == 14,
    }
    made = _MAKERS[shape](draw, assets, name)
    if made is not None:
        parts = {**more, **made}
        assets.append(Asset(name=name, salt=name, **parts))


def _raw(draw: st.DrawFn, assets: list[Asset], name: str, parting: str = "days") -> dict[str, Any]:
    source = f"source:{name}"
    first = draw(st.integers(0, 2)) if parting == "days" else 0
    assets.append(Asset(name=source, salt=source, kind="source", parting=parting, first=first))  # type: ignore[arg-type]
    reads = [Read(upstream=source)]
    if parting == "days":
        reads += _reads_of(draw, assets[:-1], 1)
    return {"parting": parting, "first": first, "reads": tuple(reads)}


def _days(draw: st.DrawFn, assets: list[Asset], _name: str) -> dict[str, Any] | None:
    reads = _reads_of(draw, assets, 3)
    if not reads:
        return None
    until = draw(st.sampled_from((None, None, None, 6)))
    return {"parting": "days", "first": draw(st.sampled_from((0, 0, 0, 2))), "until": until, "reads": tuple(reads)}  # fmt: skip


def _reads_of(draw: st.DrawFn, assets: list[Asset], most: int) -> list[Read]:
    """Reads of a daily asset."""
    there = [one for one in assets if one.kind != "source"]
    if not there:
        return []
    chosen = draw(st.lists(st.sampled_from(there), min_size=min(1, most - 1), max_size=most, unique_by=lambda one: one.name))  # fmt: skip
    return [_read_by_days(draw, one) for one in chosen]


def _read_by_days(draw: st.DrawFn, upstream: Asset) -> Read:
    is_taken = draw(st.integers(0, 9)) < 9
    if upstream.parting == "whole":
        return Read(upstream=upstream.name, kind="whole", is_taken=is_taken)
    if upstream.parting == "regions":
        keys = draw(st.sampled_from((REGIONS, REGIONS[:1], REGIONS[1:])))
        return Read(upstream=upstream.name, kind="regions", keys=keys, is_taken=is_taken)
    if draw(st.booleans()):
        return Read(upstream=upstream.name, is_taken=is_taken)
    start = draw(st.integers(-3, 1))
    end = start + draw(st.integers(0, 3))
    return Read(upstream=upstream.name, kind="window", start=start, end=end, is_taken=is_taken)


def _regions(draw: st.DrawFn, assets: list[Asset], _name: str) -> dict[str, Any] | None:
    there = [one for one in assets if one.kind != "source" and one.parting != "days"]
    if not there:
        return None
    upstream = draw(st.sampled_from(there))
    if upstream.parting == "whole":
        read = Read(upstream=upstream.name, kind="whole")
    elif draw(st.booleans()):
        read = Read(upstream=upstream.name)
    else:
        keys = tuple(draw(st.sampled_from(REGIONS)) for _ in REGIONS)
        read = Read(upstream=upstream.name, kind="pairs", keys=keys)
    return {"parting": "regions", "reads": (read,)}


def _root(draw: st.DrawFn, _assets: list[Asset], _name: str) -> dict[str, Any]:
    return {"parting": draw(st.sampled_from(("whole", "days", "regions")))}


def _whole(draw: st.DrawFn, assets: list[Asset], _name: str, most: int = 3) -> dict[str, Any]:
    there = [one for one in assets if one.kind != "source"]
    chosen = draw(st.lists(st.sampled_from(there), min_size=1, max_size=most, unique_by=lambda one: one.name))  # fmt: skip
    return {"parting": "whole", "reads": tuple(_read_whole(draw, one) for one in chosen)}


def _read_whole(draw: st.DrawFn, upstream: Asset) -> Read:
    if upstream.parting == "whole":
        return Read(upstream=upstream.name, kind="same")
    count = draw(st.integers(0, 3))
    return Read(upstream=upstream.name, kind="newest" if count else "every", count=count)


def _model(draw: st.DrawFn, assets: list[Asset], name: str) -> dict[str, Any]:
    reports = [one.name for one in assets if one.kind == "report"]
    return {
        **_whole(draw, assets, name, most=2),
        "kind": "model",
        "needs": draw(st.integers(0, 4)),
        "promise": draw(st.sampled_from(("", "48h", "96h"))),
        "watches": draw(st.sampled_from(("", *reports))),
        "cooldown_h": draw(st.sampled_from((0, 0, 2, 12))),
        "at_most": draw(st.integers(1, 3)),
    }


def _report(draw: st.DrawFn, assets: list[Asset], name: str) -> dict[str, Any]:
    return {**_whole(draw, assets, name), "kind": "report"}


_MAKERS: dict[str, Callable[..., dict[str, Any] | None]] = {
    "raw": _raw,
    "raw_whole": lambda draw, assets, name: _raw(draw, assets, name, "whole"),
    "raw_regions": lambda draw, assets, name: _raw(draw, assets, name, "regions"),
    "days": _days,
    "regions": _regions,
    "root": _root,
    "whole": _whole,
    "model": _model,
    "report": _report,
}
