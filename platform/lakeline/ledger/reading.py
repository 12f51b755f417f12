"""What the ledger knows of the present, one statement a question."""

import json
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from lakeline.ledger import marks
from lakeline.ledger.moments import moment, moment_or_none
from lakeline.ledger.records import Current, Input, Mark, place
from lakeline.ledger.schema import PENDING, asset, batch, build, current, reads, word

_FEW = 100  # more names than this cost more in a statement than the rows that they would leave out
_part = word.alias("part")
_code = word.alias("code")
_run = word.alias("run")
_columns = word.alias("columns")
_because_asset = asset.alias("because_asset")
_because_part = word.alias("because_part")


def id_of(name: str) -> "sa.ScalarSelect[int]":
    """Id of an asset, as part of a statement; null if the ledger has never seen it."""
    return sa.select(asset.c.id).where(asset.c.name == name).scalar_subquery()


def asset_id(connection: sa.Connection, name: str) -> int:
    """Id of an asset; -1, which no row has, if the ledger has never seen it."""
    found = connection.execute(sa.select(asset.c.id).where(asset.c.name == name)).scalar()
    return -1 if found is None else int(found)


def batches(
    connection: sa.Connection,
    name: str,
    statuses: Collection[int],
    partitions: Collection[str] | None = None,
) -> list[str]:
    """Ids of the asset's batches in one of ``statuses``, in the order they began; all, or those of some partitions."""
    is_one = (batch.c.asset_id == id_of(name), batch.c.status.in_(statuses))
    statement = sa.select(batch.c.name).where(*is_one).order_by(batch.c.id)
    if partitions is None:
        return list(connection.execute(statement).scalars())
    built = statement.add_columns(_part.c.text).join(build, build.c.batch_id == batch.c.id)
    rows = connection.execute(built.join(_part, _part.c.id == build.c.part_id)).all()
    wanted = set(partitions)
    return list(dict.fromkeys(row[0] for row in rows if row[1] in wanted))


def versions(connection: sa.Connection, name: str) -> dict[str, str]:
    """Present version by partition."""
    statement = (
        sa.select(_part.c.text, current.c.version)
        .join(_part, _part.c.id == current.c.part_id)
        .where(current.c.asset_id == id_of(name))
    )
    return dict(connection.execute(statement).tuples().all())


def currents(
    connection: sa.Connection, name: str, partitions: Collection[str] | None
) -> dict[str, Current]:
    """Published partitions of the asset, all or those asked for."""
    statement = _CURRENT.where(current.c.asset_id == id_of(name))
    if partitions is not None and len(partitions) <= _FEW:
        statement = statement.where(_part.c.text.in_(sorted(partitions)))
    wanted = None if partitions is None else set(partitions)
    rows = connection.execute(statement)
    return {row[0]: to_current(row[1:]) for row in rows if wanted is None or row[0] in wanted}


def with_builds(statement: "sa.Select[Any]") -> "sa.Select[Any]":
    """A selection that ``current`` is part of, with the columns of which ``to_current`` makes a ``Current``."""
    return (
        statement.add_columns(
            current.c.build_id,
            current.c.version,
            current.c.snapshot_id,
            build.c.watermark_us,
            build.c.rows,
            build.c.bytes,
            _code.c.text.label("code_version"),
            _run.c.text.label("run"),
            batch.c.started_us,
            batch.c.ended_us,
            _because_asset.c.name.label("because_asset"),
            _because_part.c.text.label("because_part"),
        )
        .join(build, build.c.id == current.c.build_id)
        .join(batch, batch.c.id == build.c.batch_id)
        .join(_code, _code.c.id == build.c.code_id)
        .join(_run, _run.c.id == build.c.run_id)
        .outerjoin(_because_asset, _because_asset.c.id == current.c.because_asset_id)
        .outerjoin(_because_part, _because_part.c.id == current.c.because_part_id)
    )


_CURRENT = with_builds(
    sa.select(_part.c.text.label("partition")).join_from(
        current, _part, _part.c.id == current.c.part_id
    )
)


def to_current(columns: Sequence[Any]) -> Current:
    """The partition of the columns that ``with_builds`` added; by place, for names cost a row three times as much."""
    (build_id, version, snapshot_id, watermark_us, rows, size, code, run_id) = columns[:8]
    (started_us, ended_us, because_asset, because_part) = columns[8:]
    is_marked = because_asset is not None
    return Current(
        build_id=build_id,
        version=version,
        watermark=moment_or_none(watermark_us),
        code_version=code,
        snapshot_id=snapshot_id,
        run_id=run_id,
        rows=rows,
        bytes=size,
        started_ts=moment(started_us),
        ended_ts=moment(ended_us),
        marked=is_marked,
        marked_by=place(because_asset, because_part) if is_marked else None,
    )


def _by_name(row: "sa.Row[Any]") -> tuple[str, str]:
    # Here and not in SQL, where the order of text is a setting of the server.
    return row[0], row[1]


def inputs_of(connection: sa.Connection, name: str, partition: str) -> tuple[Input, ...]:
    """Inputs of the published build of a partition."""
    build_id = sa.select(current.c.build_id).join(_part, _part.c.id == current.c.part_id)
    is_it = (current.c.asset_id == asset_id(connection, name), _part.c.text == partition)
    found = connection.execute(build_id.where(*is_it)).scalar()
    return () if found is None else inputs_of_build(connection, found)


def inputs_of_build(connection: sa.Connection, build_id: int) -> tuple[Input, ...]:
    """Inputs of any build, by asset and partition."""
    statement = (
        sa.select(asset.c.name, _part.c.text, reads.c.version, reads.c.snapshot_id, _columns.c.text)
        .join_from(reads, asset, asset.c.id == reads.c.asset_id)
        .join(_part, _part.c.id == reads.c.part_id)
        .join(_columns, _columns.c.id == reads.c.columns_id)
        .where(reads.c.build_id == build_id)
    )
    return tuple(
        Input(asset=a, partition=p, version=v, snapshot_id=s, columns=tuple(json.loads(c)))
        for a, p, v, s, c in sorted(connection.execute(statement), key=_by_name)
    )


def marked(connection: sa.Connection) -> list[Mark]:
    """Every marked partition, by asset and partition."""
    statement = (
        sa.select(asset.c.name, _part.c.text, _because_asset.c.name, _because_part.c.text)
        .join_from(current, asset, asset.c.id == current.c.asset_id)
        .join(_part, _part.c.id == current.c.part_id)
        .join(_because_asset, _because_asset.c.id == current.c.because_asset_id)
        .join(_because_part, _because_part.c.id == current.c.because_part_id)
        .where(current.c.because_asset_id.is_not(None))
    )
    return [
        Mark(asset=a, partition=p, because_asset=ba, because_partition=bp)
        for a, p, ba, bp in sorted(connection.execute(statement), key=_by_name)
    ]


def marked_of(connection: sa.Connection, name: str) -> tuple[str, ...]:
    """Marked partitions of an asset, sorted."""
    statement = (
        sa.select(_part.c.text)
        .join_from(current, _part, _part.c.id == current.c.part_id)
        .where(
            current.c.asset_id == asset_id(connection, name),
            current.c.because_asset_id.is_not(None),
        )
    )
    return tuple(sorted(connection.execute(statement).scalars()))


def unfinished(connection: sa.Connection) -> set[str]:
    """Assets with a batch that is neither published nor abandoned; one probe of an index an asset."""
    is_pending = sa.exists().where(batch.c.asset_id == asset.c.id, batch.c.status == PENDING)
    return set(connection.execute(sa.select(asset.c.name).where(is_pending)).scalars())


def inconsistent(connection: sa.Connection) -> set[tuple[str, str]]:
    """Partitions (asset, partition) with an input that differs, by comparing all instead of trusting marks."""
    different = marks.different_inputs().subquery()
    statement = (
        sa.select(asset.c.name, _part.c.text)
        .distinct()
        .join_from(different, current, current.c.build_id == different.c.build_id)
        .join(asset, asset.c.id == current.c.asset_id)
        .join(_part, _part.c.id == current.c.part_id)
    )
    return {(a, p) for a, p in connection.execute(statement)}


def is_consistent(connection: sa.Connection, name: str, partition: str) -> bool:
    """Whether the partition is published and all its inputs have the versions recorded."""
    statement = sa.select(current.c.build_id).join(_part, _part.c.id == current.c.part_id)
    is_it = (current.c.asset_id == asset_id(connection, name), _part.c.text == partition)
    build_id = connection.execute(statement.where(*is_it)).scalar()
    return build_id is not None and not marks.differences(connection, [build_id])


def last_snapshot(connection: sa.Connection, name: str) -> int | None:
    """Snapshot of the newest publish of the asset that made a commit."""
    return connection.execute(sa.select(asset.c.snapshot_id).where(asset.c.name == name)).scalar()
