"""Statistics of the values of a partition, kept as bytes beside its version; what they hold is their writer's business."""

from collections.abc import Mapping

import sqlalchemy as sa

from lakeline.ledger.agenda import ids_of, of_pair, pair_rows
from lakeline.ledger.schema import asset, statistics, word


def set_statistics(
    connection: sa.Connection, asset_name: str, by_partition: Mapping[str, tuple[str, bytes]]
) -> None:
    """Replace the statistics of partitions, each with the version that they describe."""
    if not by_partition:
        return
    ids = ids_of(connection, [(asset_name, key) for key in by_partition])
    pairs = [ids[asset_name, key] for key in by_partition]
    connection.execute(sa.delete(statistics).where(of_pair(statistics)), pair_rows(pairs))
    rows = [
        {"asset_id": asset_id, "part_id": part_id, "version": version, "content": content}
        for (asset_id, part_id), (version, content) in zip(
            pairs, by_partition.values(), strict=True
        )
    ]
    connection.execute(sa.insert(statistics), rows)


def statistics_of(
    connection: sa.Connection, asset_name: str, newest: int
) -> dict[str, tuple[str, bytes]]:
    """Version and statistics of the partitions with the greatest names, sorted."""
    statement = (
        sa.select(word.c.text, statistics.c.version, statistics.c.content)
        .join_from(statistics, asset, asset.c.id == statistics.c.asset_id)
        .join(word, word.c.id == statistics.c.part_id)
        .where(asset.c.name == asset_name)
        .order_by(word.c.text.desc())
        .limit(newest)
    )
    found = {key: (version, content) for key, version, content in connection.execute(statement)}
    return {key: found[key] for key in sorted(found)}
