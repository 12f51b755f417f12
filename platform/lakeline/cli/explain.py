"""What the ledger knows of one partition: its build, what that read, and whether each is still the present version."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import TYPE_CHECKING

from lakeline.freshness.sources import PREFIX
from lakeline.ledger.records import ABSENT

if TYPE_CHECKING:
    from lakeline.ledger import BuildRecord, Current, Input, Ledger


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """An input that has another version now than the one that was read."""

    partition: str
    read: str
    present: str

    @property
    def said(self) -> str:
        """What happened to it, in words."""
        if self.present == ABSENT:
            return "is gone from the lake"
        if self.read == ABSENT:
            return "did not exist when it was read, and does now"
        return "was built again since, with other content"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What a build read of one asset.

    Attributes:
        partitions: Sorted.
        columns: Of any of them.
        snapshots: Snapshots that the reads were pinned to.
        absent: How many of the partitions did not exist.
        moved: Those that have another version now.
        origin: Why the newest of the partitions is what it is; None past the depth asked for, and for a source.
    """

    asset: str
    partitions: tuple[str, ...]
    columns: tuple[str, ...]
    snapshots: tuple[int, ...]
    absent: int
    moved: tuple[Moved, ...]
    origin: "Reason | None"


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a partition is what it is.

    Attributes:
        build: The published build, with its cost.
        current: The partition as it is published.
        present_code: Version of the asset's code as it is loaded now; None for an asset that is no longer declared.
        earlier: Older builds of the same partition, newest first.
    """

    asset: str
    partition: str
    build: "BuildRecord"
    current: "Current"
    present_code: str | None
    earlier: "tuple[BuildRecord, ...]"
    readings: tuple[Reading, ...]


class Explainer:
    """Asks the ledger, each question once.

    Args:
        ledger: Asked.
        code_versions: Version of the code of each asset that is declared now.
    """

    def __init__(self, ledger: "Ledger", code_versions: Mapping[str, str]) -> None:
        self._ledger = ledger
        self._code = code_versions
        self._versions: dict[str, dict[str, str]] = {}

    @cached_property
    def assets(self) -> list[str]:
        """Every asset that was ever published."""
        return [one.asset for one in self._ledger.summary()]

    def partitions(self, asset: str) -> list[str]:
        """Its published partitions, sorted."""
        return sorted(self._present(asset))

    def explain(self, asset: str, partition: str, *, depth: int) -> Reason | None:
        """Why a partition is what it is, upstream over ``depth`` steps; None where it is not published."""
        current = self._ledger.current(asset, [partition]).get(partition)
        if current is None:
            return None
        history = self._ledger.history(asset, partition, limit=6)
        build = next(one for one in history if one.build_id == current.build_id)
        inputs = self._ledger.inputs(asset, partition)
        return Reason(
            asset=asset,
            partition=partition,
            build=build,
            current=current,
            present_code=self._code.get(asset),
            earlier=tuple(
                one
                for one in history
                if one.build_id < current.build_id and one.status == "published"
            ),
            readings=tuple(self._readings(inputs, depth=depth)),
        )

    def _readings(self, inputs: "Sequence[Input]", *, depth: int) -> Iterator[Reading]:
        for asset, group in groupby(inputs, key=lambda one: one.asset):
            read = sorted(group, key=lambda one: one.partition)
            yield Reading(
                asset=asset,
                partitions=tuple(one.partition for one in read),
                columns=tuple(sorted({column for one in read for column in one.columns})),
                snapshots=tuple(
                    sorted({one.snapshot_id for one in read if one.snapshot_id is not None})
                ),
                absent=sum(one.version == ABSENT for one in read),
                moved=tuple(self._moved(read)),
                origin=self.explain(asset, read[-1].partition, depth=depth - 1)
                if depth > 0 and not asset.startswith(PREFIX)
                else None,
            )

    def _moved(self, read: "Sequence[Input]") -> Iterator[Moved]:
        for one in read:
            present = self._present(one.asset).get(one.partition, ABSENT)
            if present != one.version:
                yield Moved(partition=one.partition, read=one.version, present=present)

    def _present(self, asset: str) -> dict[str, str]:
        if asset not in self._versions:
            self._versions[asset] = self._ledger.versions(asset)
        return self._versions[asset]
