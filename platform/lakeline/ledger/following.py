"""The ledger's face to freshness: sources, what changed, what is to be looked at, what failed, how things stand."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from lakeline.ledger import (
    agenda,
    attempts,
    bulk,
    observing,
    reaching,
    reading,
    reports,
    states,
    statistics,
    sweeping,
    verifying,
)
from lakeline.ledger.base import LedgerBase
from lakeline.ledger.records import (
    Attempt,
    Changes,
    Current,
    Input,
    Pair,
    Reach,
    SourceState,
    State,
    StateChange,
)


class FreshnessRecords(LedgerBase):
    """What the ledger keeps so that a look at everything costs by what changed. Each call is one transaction."""

    # --- sources ------------------------------------------------------------------------------

    def observe(
        self,
        source: str,
        versions: Mapping[str, str],
        *,
        watermark: dt.datetime | None,
        observed_ts: dt.datetime,
        is_complete: bool = False,
    ) -> tuple[str, ...]:
        """Take up what is seen of a source, and mark what was built from what it had before.

        Only partitions with another version are written. A watermark that went backwards is stored as it is.

        Args:
            source: Its name among the assets.
            versions: By partition, a text that changes whenever the content does; ``ABSENT`` for one that is gone.
            watermark: Event time up to which the source is complete; None if it cannot tell.
            observed_ts: When it was looked at.
            is_complete: Whether ``versions`` has all there is, so that what is not in it is gone.

        Returns:
            Partitions that changed, came into being or are gone, sorted.

        Raises:
            NaiveTimeError: A time has no time zone.
        """
        with self._database.write() as connection:
            return observing.observe(
                connection,
                source,
                versions,
                watermark=watermark,
                observed_ts=observed_ts,
                is_complete=is_complete,
            )

    def sources(self) -> dict[str, SourceState]:
        """What the newest observation of each source said."""
        with self._database.read() as connection:
            return observing.sources(connection)

    # --- what changed, and what is to be looked at --------------------------------------------

    def changes(self) -> Changes:
        """Partitions that changed and were not taken up by ``settle_agenda`` yet."""
        with self._database.read() as connection:
            return agenda.changes(connection)

    def agenda(self) -> dict[Pair, dt.datetime]:
        """Partitions that need to be looked at, with since when; everything else is at rest."""
        with self._database.read() as connection:
            return agenda.agenda_of(connection)

    def settle_agenda(
        self, *, seq: int | None, add: Collection[Pair], remove: Collection[Pair], now: dt.datetime
    ) -> None:
        """Take up changes and move partitions onto the agenda and off it, all or nothing.

        Args:
            seq: The last change that was taken up, as ``changes`` gave it; None if none was.
            add: To be looked at; what is on the agenda keeps its time. In both, it stays.
            remove: At rest.
            now: Since when the new ones are on the agenda.

        Raises:
            NaiveTimeError: A time has no time zone.
        """
        if seq is None and not add and not remove:
            return
        with self._database.write() as connection:
            agenda.settle(connection, seq=seq, add=add, remove=remove, now=now)

    # --- many partitions at once --------------------------------------------------------------

    def currents_of(self, pairs: Collection[Pair]) -> dict[Pair, Current]:
        """Those of the partitions that are published."""
        if not pairs:
            return {}
        with self._database.read() as connection:
            return bulk.currents_of(connection, pairs)

    def inputs_of(self, pairs: Collection[Pair]) -> dict[Pair, tuple[Input, ...]]:
        """What the published builds of partitions read, by asset and partition; ``()`` where one read nothing."""
        if not pairs:
            return {}
        with self._database.read() as connection:
            return bulk.inputs_of(connection, pairs)

    def versions_of(self, pairs: Collection[Pair]) -> dict[Pair, str]:
        """Present version of those of the partitions that exist."""
        if not pairs:
            return {}
        with self._database.read() as connection:
            return bulk.versions_of(connection, pairs)

    def reach(self) -> dict[str, Reach]:
        """How far each asset reaches; also those that were only ever read, or put on the agenda."""
        with self._database.read() as connection:
            return reaching.reach(connection)

    def marked_of(self, asset: str) -> tuple[str, ...]:
        """Partitions of the asset of which an input has another version now, sorted."""
        with self._database.read() as connection:
            return reading.marked_of(connection, asset)

    def partitions_of(self, assets: Collection[str]) -> dict[str, tuple[str, ...]]:
        """Present partitions of assets, sorted; assets without any are left out."""
        if not assets:
            return {}
        with self._database.read() as connection:
            return sweeping.partitions_of(connection, assets)

    def stale_of(self, codes: Mapping[str, str | None]) -> set[Pair]:
        """Present partitions of assets that are marked, or were built by other code than the one given.

        Args:
            codes: Code version by asset; None where the code does not matter.
        """
        if not codes:
            return set()
        with self._database.read() as connection:
            return sweeping.stale_of(connection, codes)

    def verify(self, assets: Collection[str] | None = None) -> set[Pair]:
        """Compare the marks of the assets (or of all) with their inputs, and mend those that are wrong.

        Returns:
            The partitions whose marks were wrong. Empty, unless something went past the ledger.
        """
        return verifying.verify(self._database, assets)

    # --- failures -----------------------------------------------------------------------------

    def failed(
        self, pairs_with_keys: Mapping[Pair, str], *, run_id: str, error: str, now: dt.datetime
    ) -> None:
        """Count one more failed build of each partition.

        Args:
            pairs_with_keys: By partition, what stands for its inputs and code; another key starts again at one.
            run_id: The run that failed; told twice, it counts once. ``""`` always counts.
            error: What went wrong.
            now: When it did.

        Raises:
            NaiveTimeError: A time has no time zone.
        """
        with self._database.write() as connection:
            attempts.failed(connection, pairs_with_keys, run_id=run_id, error=error, now=now)

    def attempts(self, pairs: Collection[Pair] | None = None) -> dict[Pair, Attempt]:
        """Failures of those of the partitions (or of all) that failed since they were published last."""
        with self._database.read() as connection:
            return attempts.attempts(connection, pairs)

    def clear_attempts(self, pairs: Collection[Pair]) -> None:
        """Forget the failures of partitions; publishing does so by itself."""
        with self._database.write() as connection:
            attempts.clear(connection, pairs)

    # --- states -------------------------------------------------------------------------------

    def set_states(self, states_now: Sequence[State], now: dt.datetime) -> tuple[StateChange, ...]:
        """Store how named things stand; details are renewed without a word.

        Returns:
            The states of which the word is another than the stored one, and those that are new.

        Raises:
            NaiveTimeError: ``now`` has no time zone.
        """
        with self._database.write() as connection:
            return states.set_states(connection, states_now, now)

    def states(self, name: str | None = None, asset: str | None = None) -> list[State]:
        """Stored states, of one name or one asset if given, by asset, partition and name."""
        with self._database.read() as connection:
            return states.states(connection, name, asset)

    # --- statistics ---------------------------------------------------------------------------

    def set_statistics(self, asset: str, by_partition: Mapping[str, tuple[str, bytes]]) -> None:
        """Keep what the values of partitions look like: by partition, the version described and the serialised statistics."""
        with self._database.write() as connection:
            statistics.set_statistics(connection, asset, by_partition)

    def statistics(self, asset: str, newest: int) -> dict[str, tuple[str, bytes]]:
        """What was kept so of so many of the newest partitions, sorted by partition."""
        with self._database.read() as connection:
            return statistics.statistics_of(connection, asset, newest)

    # --- cost ---------------------------------------------------------------------------------

    def cost_since(self, ts: dt.datetime) -> float:
        """Processor time of everything published since ``ts``, in seconds.

        Raises:
            NaiveTimeError: It has no time zone.
        """
        with self._database.read() as connection:
            return reports.cost_since(connection, ts)
