"""The ledger: one SQL store in which each partition of every asset says what it was built from.

Measured on two busy cores with 1,000 assets x 365 partitions and 0.98 million inputs, in ms:

    ======================================================  ======  ========
    question                                                SQLite  Postgres
    ======================================================  ======  ========
    begin 100 partitions                                       3.3        14
    publish 100 partitions that mark 500 readers               8.0        57
    publish one partition                                      8.1        10
    publish an input that 7,300 partitions read                 14       143
    marked(), nothing marked, connecting included              3.5        28
    marked(), 5,000 marked                                      27        37
    current() of an asset                                      7.2        10
    is_consistent() or inputs() of a partition                 1.3       1.9
    summary()                                                  163       308
    inconsistent(), which compares all inputs                  930      1159
    ======================================================  ======  ========

The SQLite file has 129 MB then, and nothing but ``summary`` and ``inconsistent`` grows with the number of assets.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from lakeline.ledger import batches, present, queue, reading, reports
from lakeline.ledger.following import FreshnessRecords
from lakeline.ledger.records import (
    AssetSummary,
    Build,
    BuildRecord,
    Consumer,
    Cost,
    Current,
    Input,
    Mark,
    Used,
)
from lakeline.ledger.schema import ABANDONED, PENDING
from lakeline.ledger.used import used


class Ledger(FreshnessRecords):
    """What every partition of every asset was built from, in SQLite or Postgres.

    Safe in many threads and processes at once; it pickles as its URL. Making one does no work: the first call
    connects and creates the tables.

    A publish goes ``begin`` → commit to the lake → ``publish``, all under the lock of the table. Whatever happens in
    between, ``recovery.recover`` brings the ledger back to what the lake says.

    Args:
        url: SQLAlchemy URL: ``sqlite:////absolute/path/ledger.db`` or ``postgresql://user:password@host/database``.

    Raises:
        LedgerUnavailableError: (each call) The database does not answer, stays locked for 60 s, is full or broken.
        LedgerSchemaError: (first call) Its tables are those of another release.
    """

    # --- a publish ----------------------------------------------------------------------------

    def begin(self, batch: str, builds: Sequence[Build], started_ts: dt.datetime) -> None:
        """Write the builds of one commit as pending, all or none.

        Args:
            batch: Id of the publish, used once; the commit carries it as ``lakeline.batch`` in its summary.
            builds: The partitions, of one asset, each once.
            started_ts: When the work for it started, aware.

        Raises:
            RepeatedBatchError, EmptyBatchError, MixedBatchError, RepeatedPartitionError: The batch is not like that.
            NaiveTimeError: A time has no time zone.
        """
        with self._database.write() as connection:
            batches.begin(connection, batch, builds, started_ts)

    def publish(
        self,
        batch: str,
        snapshot_id: int | None,
        cost: Cost | None,
        *,
        overtaken_by: Collection[str] = (),
    ) -> None:
        """Make the builds of a batch the present ones and mark what they make inconsistent, in one transaction.

        A partition whose inputs moved while it was built is published and marked at once. Versions equal to the
        present ones mark nobody; a version that comes back takes away the marks it had caused. A published batch stays
        as it is, so calling twice is as once; an abandoned one that reached the lake after all is published.

        Args:
            batch: Id under which it began.
            snapshot_id: The commit; None if nothing had to be written, since all versions equal the present ones.
            cost: Of the whole batch, shared evenly by its partitions; None if it is unknown.
            overtaken_by: Published batches whose commits came later; partitions that they built keep their build.

        Raises:
            UnknownBatchError: It never began.
        """
        with self._database.write() as connection:
            present.publish(connection, batch, snapshot_id, cost=cost, overtaken_by=overtaken_by)

    def publish_together(self, costs: Mapping[str, Cost], snapshot_id: int | None) -> None:
        """As ``publish``, for the batches of one asset that one commit carries, each with its cost; all or none.

        Raises:
            UnknownBatchError: One of them never began.
        """
        with self._database.write() as connection:
            present.publish_together(connection, costs, snapshot_id)

    def record(
        self, batch: str, builds: Sequence[Build], cost: Cost, snapshot_id: int | None = None
    ) -> None:
        """Begin and publish at once, for what is no commit to the lake: a model, a report.

        Args:
            batch: Id of the publish, used once.
            builds: The partitions, of one asset, each once.
            cost: Of the whole batch, shared evenly by its partitions.
            snapshot_id: The snapshot that holds this content already, if there is one.

        Raises:
            RepeatedBatchError, EmptyBatchError, MixedBatchError, RepeatedPartitionError: The batch is not like that.
            NaiveTimeError: A time has no time zone.
        """
        with self._database.write() as connection:
            batches.begin(connection, batch, builds, cost.started_ts)
            present.publish(connection, batch, snapshot_id, cost=cost, overtaken_by=())

    def abandon(self, batch: str) -> None:
        """Give up a pending batch; a published one stays published.

        Raises:
            UnknownBatchError: It never began.
        """
        with self._database.write() as connection:
            batches.abandon(connection, batch)

    def forget(self, asset: str, partitions: Collection[str]) -> None:
        """Take partitions that were deleted from the lake out of the present, and mark what was built from them.

        Their history stays. Unknown partitions are passed over.
        """
        with self._database.write() as connection:
            present.forget(connection, asset, partitions)

    def pending(self, asset: str, partitions: Collection[str] | None = None) -> list[str]:
        """Batches of the asset that are neither published nor abandoned, in the order they began.

        Those that wait in the queue are not under way yet. Given ``partitions``, only batches that build one of them.
        """
        with self._database.read() as connection:
            return reading.batches(connection, asset, (PENDING,), partitions)

    def unfinished(self) -> set[str]:
        """Assets with a batch that is neither published nor abandoned: under way, or cut short."""
        with self._database.read() as connection:
            return reading.unfinished(connection)

    def unpublished(self, asset: str) -> set[str]:
        """Batches of the asset that are pending or abandoned."""
        with self._database.read() as connection:
            return set(reading.batches(connection, asset, (PENDING, ABANDONED)))

    # --- batches that wait for their table ----------------------------------------------------

    def enqueue(
        self, batch: str, builds: Sequence[Build], started_ts: dt.datetime, handover: str
    ) -> None:
        """As ``begin``, for a batch whose table another writer has locked: that one may commit it.

        Args:
            batch: Id of the publish, used once.
            builds: The partitions, of one asset, each once.
            started_ts: When the work for it started, aware.
            handover: What whoever commits it must know.

        Raises:
            RepeatedBatchError, EmptyBatchError, MixedBatchError, RepeatedPartitionError: The batch is not like that.
            NaiveTimeError: A time has no time zone.
        """
        with self._database.write() as connection:
            queue.enqueue(connection, batch, builds, started_ts, handover)

    def queued(self, asset: str, limit: int = 100) -> dict[str, str]:
        """Handover of the first ``limit`` batches in the queue, by batch, in the order they came."""
        with self._database.read() as connection:
            return queue.queued(connection, asset, limit)

    def take(self, batches: Collection[str]) -> set[str]:
        """Make batches pending that are queued or abandoned, all at once; returns those that were."""
        with self._database.write() as connection:
            return queue.take(connection, batches)

    def withdraw(self, batch: str) -> bool:
        """Abandon a batch that is still queued; False where another writer has taken it and not given it up.

        Raises:
            UnknownBatchError: It never began.
        """
        with self._database.write() as connection:
            return queue.withdraw(connection, batch)

    def committed(self, batch: str) -> int | None:
        """The snapshot of a published batch; None while it is not published."""
        with self._database.read() as connection:
            return queue.committed(connection, batch)

    # --- the present --------------------------------------------------------------------------

    def current(self, asset: str, partitions: Collection[str] | None = None) -> dict[str, Current]:
        """Published partitions of the asset by name; of those asked for, the ones that exist."""
        with self._database.read() as connection:
            return reading.currents(connection, asset, partitions)

    def versions(self, asset: str) -> dict[str, str]:
        """Present version of each published partition."""
        with self._database.read() as connection:
            return reading.versions(connection, asset)

    def inputs(self, asset: str, partition: str) -> tuple[Input, ...]:
        """What the published build of a partition read, by asset and partition; empty if there is none."""
        with self._database.read() as connection:
            return reading.inputs_of(connection, asset, partition)

    def inputs_of_build(self, build_id: int) -> tuple[Input, ...]:
        """What any build read, also an old one, by asset and partition."""
        with self._database.read() as connection:
            return reading.inputs_of_build(connection, build_id)

    def marked(self) -> list[Mark]:
        """Published partitions of which an input has another version now, by asset and partition."""
        with self._database.read() as connection:
            return reading.marked(connection)

    def is_consistent(self, asset: str, partition: str) -> bool:
        """Whether the partition is published and each recorded input has the recorded version; reads no marks."""
        with self._database.read() as connection:
            return reading.is_consistent(connection, asset, partition)

    def inconsistent(self) -> set[tuple[str, str]]:
        """Partitions (asset, partition) that ``marked`` should list, found by comparing every input; for checks."""
        with self._database.read() as connection:
            return reading.inconsistent(connection)

    def last_snapshot(self, asset: str) -> int | None:
        """Snapshot of the newest publish that made a commit; None before the first."""
        with self._database.read() as connection:
            return reading.last_snapshot(connection, asset)

    # --- questions ----------------------------------------------------------------------------

    def consumers(self, asset: str, partition: str | None = None) -> list[Consumer]:
        """Published partitions built from the asset (or one partition of it), with the columns they read."""
        with self._database.read() as connection:
            return reports.consumers(connection, asset, partition)

    def history(
        self, asset: str, partition: str | None = None, limit: int = 20
    ) -> list[BuildRecord]:
        """The newest ``limit`` builds of the asset or one partition, newest first, whatever became of them."""
        with self._database.read() as connection:
            return reports.history(connection, asset, partition, limit)

    def progress(
        self, asset: str, since: dt.datetime | None = None
    ) -> list[tuple[dt.datetime, dt.datetime]]:
        """How the asset came to reach as far as it does: pairs of when and of the watermark from then on, oldest first.

        Args:
            asset: Name of it.
            since: Publishes that ended before are left out.
        """
        with self._database.read() as connection:
            return reports.progress(connection, asset, since)

    def used(self, *, newest: int = 20) -> list[Used]:
        """What builds used, by asset, of the ``newest`` of each."""
        with self._database.read() as connection:
            return used(connection, newest=newest)

    def summary(self) -> list[AssetSummary]:
        """One line for every asset that was ever published, by name."""
        with self._database.read() as connection:
            return reports.summary(connection)
