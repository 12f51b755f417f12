"""Verification: marks compared with the inputs themselves, so that what went past the marks is found and mended.

A restored backup or a row changed by hand moves a version without a publish. Reading all the inputs of an asset takes a
while, so it is done without holding the ledger; what looks wrong is looked at again before it is mended.
"""

from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa

from lakeline.ledger import marks
from lakeline.ledger.engine import Database
from lakeline.ledger.marks import different_inputs
from lakeline.ledger.records import ABSENT, Pair
from lakeline.ledger.schema import asset, current, reads, word

_ASSETS = 100  # in a statement, so that no long-lived reader keeps the database's journal from being folded in
_cause = current.alias("cause")


def verify(database: Database, assets: Collection[str] | None) -> set[Pair]:
    """Mend the marks of the assets, or of all; returns the partitions whose marks were wrong."""
    found: set[Pair] = set()
    for some in _slices(_ids(database, assets)):
        with database.read() as connection:
            suspects = _wrong(connection, current.c.asset_id.in_(some))
        if suspects:
            with database.write() as connection:
                found |= _mended(connection, suspects)
    return found


def _ids(database: Database, names: Collection[str] | None) -> list[int]:
    statement = sa.select(asset.c.name, asset.c.id).where(asset.c.partitions > 0)
    wanted = None if names is None else set(names)
    with database.read() as connection:
        return sorted(
            row.id for row in connection.execute(statement) if wanted is None or row.name in wanted
        )


def _slices(ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), _ASSETS):
        yield ids[start : start + _ASSETS]


def _wrong(connection: sa.Connection, is_asked: "sa.ColumnElement[bool]") -> set[int]:
    """Builds without a mark of which an input differs, and builds with a mark whose cause does not."""
    unmarked = different_inputs().where(is_asked, current.c.because_asset_id.is_(None))
    mismarked = sa.select(current.c.build_id).where(
        is_asked, current.c.because_asset_id.is_not(None), ~_has_cause()
    )
    found = {row[0] for row in connection.execute(unmarked)}
    return found | set(connection.execute(mismarked).scalars())


def _has_cause() -> sa.Exists:
    """Whether the input that a build is marked by has another version at present."""
    is_cause = sa.and_(_cause.c.asset_id == reads.c.asset_id, _cause.c.part_id == reads.c.part_id)
    return (
        sa.select(reads.c.build_id)
        .select_from(reads.outerjoin(_cause, is_cause))
        .where(
            reads.c.build_id == current.c.build_id,
            reads.c.asset_id == current.c.because_asset_id,
            reads.c.part_id == current.c.because_part_id,
            reads.c.version != sa.func.coalesce(_cause.c.version, ABSENT),
        )
        .correlate(current)
        .exists()
    )


def _mended(connection: sa.Connection, suspects: Collection[int]) -> set[Pair]:
    """Set the marks of builds as their inputs say, where that is still needed; returns their partitions."""
    wrong: set[int] = set()
    for some in marks.chunks(suspects):
        wrong |= _wrong(connection, current.c.build_id.in_(some))
    marks.clear(connection, wrong)
    marks.mark(connection, marks.differences(connection, wrong))
    return _places(connection, wrong)


def _places(connection: sa.Connection, builds: Collection[int]) -> set[Pair]:
    statement = (
        sa.select(asset.c.name, word.c.text)
        .join_from(current, asset, asset.c.id == current.c.asset_id)
        .join(word, word.c.id == current.c.part_id)
    )
    return {
        (row[0], row[1])
        for some in marks.chunks(builds)
        for row in connection.execute(statement.where(current.c.build_id.in_(some)))
    }
