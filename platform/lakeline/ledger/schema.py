"""The tables of the ledger: integers point at names, which stand once, and every question has its index.

    asset ──< batch ──< build ──< input        one commit of the lake, its partitions, what each of them read
      │        └──  handover                   what a batch that waits for its table's lock leaves to who holds it
      └────< current                           the published build of each partition, and what it is marked by
    word                                       partitions, column sets, code versions and run ids, each once
    change, position                           what changed, and up to where that was taken up
    agenda, attempt, state, source             what is to be looked at, what failed, how things stand, what sources say
    statistics                                 what the values of a partition look like

Times are microseconds since 1970 in UTC, so that SQLite and Postgres keep them alike. Ids are given out by the one
writer at a time that ``engine.Database.write`` admits, so no table counts by itself. There are no foreign keys: one
module writes these tables, and a check on each input would be most of the cost of a publish.
"""

import sqlalchemy as sa

SCHEMA_VERSION = 4
PENDING, PUBLISHED, ABANDONED, QUEUED = 0, 1, 2, 3

metadata = sa.MetaData()
_ID = sa.BigInteger().with_variant(
    sa.Integer(), "sqlite"
)  # SQLite stores an INTEGER PRIMARY KEY as the row id itself


def _id_column() -> "sa.Column[int]":
    return sa.Column("id", _ID, primary_key=True, autoincrement=False)


def _key(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger, primary_key=True, autoincrement=False)


version = sa.Table(
    "lakeline_ledger", metadata, sa.Column("schema_version", sa.Integer, nullable=False)
)

asset = sa.Table(
    "lakeline_asset",
    metadata,
    _id_column(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("snapshot_id", sa.BigInteger),  # of its newest publish that made a commit
    sa.Column("build_id", sa.BigInteger),  # last build of its newest publish
    # Of its present partitions: how many, the one with the greatest name, and how far that one reaches.
    sa.Column("partitions", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("newest_part_id", sa.BigInteger),
    sa.Column("watermark_us", sa.BigInteger),
)

word = sa.Table(
    "lakeline_word",
    metadata,
    _id_column(),
    sa.Column("text", sa.Text, nullable=False, unique=True),
)

batch = sa.Table(
    "lakeline_batch",
    metadata,
    _id_column(),
    sa.Column("name", sa.Text, nullable=False, unique=True),
    sa.Column("asset_id", sa.BigInteger, nullable=False),
    sa.Column("status", sa.SmallInteger, nullable=False),
    sa.Column("builds", sa.Integer, nullable=False),
    sa.Column("started_us", sa.BigInteger, nullable=False),
    sa.Column("ended_us", sa.BigInteger),
    sa.Column("snapshot_id", sa.BigInteger),
    sa.Column("cpu_s", sa.Double, nullable=False, default=0.0),
    sa.Column("gpu_s", sa.Double, nullable=False, default=0.0),
    sa.Column("peak_rss_bytes", sa.BigInteger, nullable=False, default=0),
    sa.Column("gpu_busy", sa.Double),
    sa.Column("peak_gpu_bytes", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("placement", sa.Text),
    sa.Index("lakeline_batch_by_asset", "asset_id", "status"),
    sa.Index("lakeline_batch_by_end", "ended_us"),
)

handover = sa.Table(
    "lakeline_handover",
    metadata,
    sa.Column("batch_id", _ID, primary_key=True, autoincrement=False),
    sa.Column("text", sa.Text, nullable=False),  # what whoever commits a queued batch must know
)

build = sa.Table(
    "lakeline_build",
    metadata,
    _id_column(),
    sa.Column("batch_id", sa.BigInteger, nullable=False),
    sa.Column("asset_id", sa.BigInteger, nullable=False),
    sa.Column("part_id", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("watermark_us", sa.BigInteger),
    sa.Column("code_id", sa.BigInteger, nullable=False),
    sa.Column("run_id", sa.BigInteger, nullable=False),
    sa.Column("rows", sa.BigInteger, nullable=False),
    sa.Column("bytes", sa.BigInteger, nullable=False),
    sa.Index("lakeline_build_by_batch", "batch_id"),
    sa.Index("lakeline_build_by_part", "asset_id", "part_id"),
)

reads = sa.Table(
    "lakeline_input",
    metadata,
    _key("build_id"),
    _key("asset_id"),
    _key("part_id"),
    sa.Column("version", sa.Text, primary_key=True),
    sa.Column("snapshot_id", sa.BigInteger),
    sa.Column("columns_id", sa.BigInteger, nullable=False),
    # Covers the search for the readers of a partition.
    sa.Index("lakeline_input_by_source", "asset_id", "part_id", "build_id", "version"),
    sqlite_with_rowid=False,
)

current = sa.Table(
    "lakeline_current",
    metadata,
    _key("asset_id"),
    _key("part_id"),
    sa.Column("build_id", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("snapshot_id", sa.BigInteger),
    sa.Column("because_asset_id", sa.BigInteger),  # an input that has moved; null while consistent
    sa.Column("because_part_id", sa.BigInteger),
    sa.Index("lakeline_current_by_build", "build_id", unique=True),
    sqlite_with_rowid=False,
)
sa.Index(
    "lakeline_current_marked",
    current.c.because_asset_id,
    current.c.because_part_id,
    sqlite_where=current.c.because_asset_id.is_not(None),
    postgresql_where=current.c.because_asset_id.is_not(None),
)

change = sa.Table(
    "lakeline_change",
    metadata,
    _key("seq"),
    sa.Column("asset_id", sa.BigInteger, nullable=False),
    sa.Column("part_id", sa.BigInteger, nullable=False),
)

position = sa.Table(
    "lakeline_position",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("seq", sa.BigInteger, nullable=False),  # the last change that was taken up
)

agenda = sa.Table(
    "lakeline_agenda",
    metadata,
    _key("asset_id"),
    _key("part_id"),
    sa.Column("since_us", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

attempt = sa.Table(
    "lakeline_attempt",
    metadata,
    _key("asset_id"),
    _key("part_id"),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("first_us", sa.BigInteger, nullable=False),
    sa.Column("last_us", sa.BigInteger, nullable=False),
    sa.Column("run_id", sa.Text, nullable=False),
    sa.Column("error", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

state = sa.Table(
    "lakeline_state",
    metadata,
    _key("asset_id"),
    _key("part_id"),
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),  # JSON
    sa.Column("since_us", sa.BigInteger, nullable=False),
    sa.Index("lakeline_state_by_name", "name"),
    sqlite_with_rowid=False,
)

source = sa.Table(
    "lakeline_source",
    metadata,
    _key("asset_id"),
    sa.Column("watermark_us", sa.BigInteger),
    sa.Column("highest_us", sa.BigInteger),
    sa.Column("observed_us", sa.BigInteger, nullable=False),
)

statistics = sa.Table(
    "lakeline_statistics",
    metadata,
    _key("asset_id"),
    _key("part_id"),
    sa.Column("version", sa.Text, nullable=False),  # of the partition that they describe
    sa.Column("content", sa.LargeBinary, nullable=False),
)
