"""Keeps the marks true: a published partition is marked exactly while an input of its build has another version now.

It is a comparison of levels. Whatever the order of publishes, the mark says how the recorded inputs compare with the
present, and its cause is always an input that differs at this moment. A partition that read its own earlier content
(a running total, say) is not marked by itself, for it would never come to rest.

Everything here runs inside the ledger's one writing transaction.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from lakeline.ledger.records import ABSENT
from lakeline.ledger.schema import current, reads

_CHUNK = 500  # SQLite promises no more than 999 variables in a statement
_present = current.alias("present")

_MARK_READERS = (
    sa.update(current)
    .where(
        current.c.because_asset_id.is_(None),
        current.c.build_id.in_(
            sa.select(reads.c.build_id).where(
                reads.c.asset_id == sa.bindparam("moved_asset"),
                reads.c.part_id == sa.bindparam("moved_part"),
                reads.c.version != sa.bindparam("moved_version"),
            )
        ),
        sa.or_(
            current.c.asset_id != sa.bindparam("moved_asset"),
            current.c.part_id != sa.bindparam("moved_part"),
        ),
    )
    .values(
        because_asset_id=sa.bindparam("moved_asset"), because_part_id=sa.bindparam("moved_part")
    )
)

_MARK_ONE = (
    sa.update(current)
    .where(current.c.build_id == sa.bindparam("marked_build"))
    .values(
        because_asset_id=sa.bindparam("cause_asset"), because_part_id=sa.bindparam("cause_part")
    )
)


def chunks(items: Collection[int]) -> Iterator[list[int]]:
    """``items`` in lists short enough for one statement."""
    ordered = sorted(items)
    for start in range(0, len(ordered), _CHUNK):
        yield ordered[start : start + _CHUNK]


def settle(
    connection: sa.Connection,
    asset_id: int,
    moved: Mapping[int, str],
    *,
    rebuilt: Collection[int] = (),
) -> None:
    """Make the marks true again after partitions of one asset were published or forgotten.

    Args:
        connection: In the writing transaction.
        asset_id: The asset.
        moved: Present version of each partition that took another one, by its id. ``current`` holds them already. What
            kept its version changes no mark of a reader.
        rebuilt: The builds that were published, whose own inputs are compared.
    """
    in_doubt = set(rebuilt) | _marked_by(connection, asset_id, moved)
    clear(connection, in_doubt - set(rebuilt))
    _mark_readers(connection, asset_id, moved)
    mark(connection, differences(connection, in_doubt))


def differences(connection: sa.Connection, builds: Collection[int]) -> dict[int, tuple[int, int]]:
    """One input (asset, partition) that has moved for each of the published ``builds`` that have one."""
    found: dict[int, tuple[int, int]] = {}
    for some in chunks(builds):
        statement = different_inputs().where(current.c.build_id.in_(some))
        for build_id, cause_asset, cause_part in connection.execute(statement):
            found.setdefault(build_id, (cause_asset, cause_part))
    return found


def different_inputs() -> "sa.Select[tuple[int, int, int]]":
    """Published builds with each of their inputs whose present version is another: build, asset, partition."""
    is_present = sa.and_(
        _present.c.asset_id == reads.c.asset_id, _present.c.part_id == reads.c.part_id
    )
    return (
        sa.select(current.c.build_id, reads.c.asset_id, reads.c.part_id)
        .select_from(
            current.join(reads, reads.c.build_id == current.c.build_id).outerjoin(
                _present, is_present
            )
        )
        .where(
            reads.c.version != sa.func.coalesce(_present.c.version, ABSENT),
            sa.or_(reads.c.asset_id != current.c.asset_id, reads.c.part_id != current.c.part_id),
        )
    )


def _marked_by(connection: sa.Connection, asset_id: int, parts: Iterable[int]) -> set[int]:
    # Marked by something else, a partition stays so, whatever these moved to.
    statement = sa.select(current.c.build_id).where(current.c.because_asset_id == asset_id)
    return _ids(connection, statement, current.c.because_part_id, set(parts))


def _ids(
    connection: sa.Connection,
    statement: "sa.Select[tuple[int]]",
    column: "sa.Column[Any]",
    values: Collection[int],
) -> set[int]:
    return {
        found
        for some in chunks(values)
        for found in connection.execute(statement.where(column.in_(some))).scalars()
    }


def clear(connection: sa.Connection, builds: Collection[int]) -> None:
    """Take the marks of published builds away."""
    for some in chunks(builds):
        connection.execute(
            sa.update(current)
            .where(current.c.build_id.in_(some), current.c.because_asset_id.is_not(None))
            .values(because_asset_id=None, because_part_id=None)
        )


def _mark_readers(connection: sa.Connection, asset_id: int, moved: Mapping[int, str]) -> None:
    if moved:
        connection.execute(
            _MARK_READERS,
            [
                {"moved_asset": asset_id, "moved_part": p, "moved_version": v}
                for p, v in moved.items()
            ],
        )


def mark(connection: sa.Connection, causes: Mapping[int, tuple[int, int]]) -> None:
    """Mark published builds by the input (asset, partition) given for each."""
    if causes:
        connection.execute(
            _MARK_ONE,
            [
                {"marked_build": b, "cause_asset": a, "cause_part": p}
                for b, (a, p) in causes.items()
            ],
        )
