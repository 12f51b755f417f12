"""A query on a database: each row is a day with what changes when its rows do, such as a count and a latest change."""

import datetime as dt
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lakeline.errors import MissingExtraError, SourceError
from lakeline.freshness.observing import (
    Look,
    Observation,
    SourceUnreachableError,
    complete_days,
    record,
)
from lakeline.freshness.sources import source_of
from lakeline.window import DAY, WHOLE

if TYPE_CHECKING:
    import sqlalchemy as sa

    from lakeline.ledger import Ledger


class QueryResultError(SourceError):
    """A query gives something else than days with their versions."""

    def __init__(self, source: str, problem: str) -> None:
        super().__init__(
            f"The query of '{source}' {problem}. Its first column is the day, once each, and the others are what changes "
            "when the day's rows do: select day, count(*), max(updated_at) from … group by day."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """Observes a table or view of a database by a query.

    Attributes:
        asset: The raw table that is read from it, as ``domain/name``.
        url: SQLAlchemy URL of the database; never shown with its password.
        sql: First column the day (a date, a timestamp or ``YYYY-MM-DD…``), the others its version. ``:since`` stands for
            the first day that is looked at.
        watermark_sql: One value, the moment up to which the data is complete: the day under way is taken too, again
            whenever it changes. None goes by the days, and takes each when it is over.
        is_daily: Whether the first column is a day; else there is one row, all of whose columns are the version.
        in_order: Whether a day waits until no day before it is missing; else days may have no rows for good.
        look_back_days: How many days are looked at, today included; what is known of earlier ones stays. None: all.
        limit: Rows of the result, at most.
    """

    asset: str
    url: str = field(repr=False)
    sql: str
    watermark_sql: str | None = None
    is_daily: bool = True
    in_order: bool = False
    look_back_days: int | None = None
    limit: int = 100_000

    @property
    def source(self) -> str:
        """Its name in the ledger."""
        return source_of(self.asset)

    def observe(self, ledger: "Ledger", now: dt.datetime) -> Observation:
        """Run the query and tell the ledger the version of each day.

        Raises:
            SourceUnreachableError: The database does not answer, or refuses the query.
            QueryResultError: The result is something else.
            SourceVanishedError: There were rows, and are none.
            MissingExtraError: The database's driver is not installed.
        """
        since = self._since(now)
        rows, until = self._ask(since)
        look = Look(
            where=self._safe_url,
            versions={key: one for key, one in self._versions(rows).items() if key >= since},
            watermark=lambda days: self._watermark(days, until, now),
            is_left=lambda day: day < since,
            is_in_order=self.in_order,
            takes_open_days=self.watermark_sql is not None,
        )
        return record(ledger, self.source, look, now=now)

    def _since(self, now: dt.datetime) -> str:
        if self.look_back_days is None or not self.is_daily:
            return WHOLE
        return f"{now - (self.look_back_days - 1) * DAY:%Y-%m-%d}"

    def _ask(self, since: str) -> "tuple[Sequence[sa.Row[Any]], Any]":
        import sqlalchemy as sa
        from sqlalchemy.exc import SQLAlchemyError

        statement = sa.text(self.sql)
        if "since" in statement._bindparams:
            statement = statement.bindparams(since=since or "0001-01-01")
        engine = self._engine()
        try:
            with engine.connect() as connection:
                # Asked first: what lands in between is seen, and not promised yet.
                asked = sa.text(self.watermark_sql) if self.watermark_sql else None
                until = connection.execute(asked).scalar() if asked is not None else None
                rows = connection.execute(statement).fetchmany(self.limit + 1)
        except SQLAlchemyError as error:
            advice = "Check that the server answers, the user may read, and the query runs there by hand."
            reason = getattr(error, "orig", None) or error
            raise SourceUnreachableError(self.source, self._safe_url, reason, advice) from error
        finally:
            engine.dispose()
        if len(rows) > self.limit:
            problem = f"gives more than {self.limit:,} rows; look back fewer days with :since, or raise limit="
            raise QueryResultError(self.source, problem)
        return rows, until

    def _engine(self) -> "sa.Engine":
        import sqlalchemy as sa

        try:
            return sa.create_engine(self.url, poolclass=sa.NullPool)
        except ModuleNotFoundError as error:
            name = sa.make_url(self.url).get_backend_name()
            raise MissingExtraError(f"A query on {name}", "postgres") from error

    @property
    def _safe_url(self) -> str:
        import sqlalchemy as sa

        return sa.make_url(self.url).render_as_string(hide_password=True)

    def _versions(self, rows: "Sequence[sa.Row[Any]]") -> dict[str, str]:
        if not self.is_daily:
            if len(rows) > 1:
                raise QueryResultError(self.source, f"gives {len(rows)} rows, and is not daily")
            return {WHOLE: _text(rows[0])} if rows else {}
        found: dict[str, str] = {}
        for row in rows:
            day = self._day(row[0])
            if len(row) < 2:
                raise QueryResultError(self.source, "gives days without a version")
            if day in found:
                raise QueryResultError(self.source, f"gives {day} twice")
            found[day] = _text(row[1:])
        return found

    def _day(self, value: Any) -> str:
        if isinstance(value, dt.datetime):
            return (value.astimezone(dt.UTC) if value.tzinfo else value).date().isoformat()
        if isinstance(value, dt.date):
            return value.isoformat()
        try:
            return dt.date.fromisoformat(str(value)[:10]).isoformat()
        except ValueError as error:
            raise QueryResultError(self.source, f"gives {value!r} for a day") from error

    def _watermark(self, days: Collection[str], until: Any, now: dt.datetime) -> dt.datetime | None:
        if self.watermark_sql is None:
            return complete_days(days, now, is_in_order=self.in_order) if self.is_daily else None
        if until is None:
            return None
        try:
            at = until if isinstance(until, dt.datetime) else dt.datetime.fromisoformat(str(until))
        except ValueError as error:
            raise QueryResultError(self.source, f"gives {until!r} for a watermark") from error
        return min(now, at.astimezone(dt.UTC) if at.tzinfo else at.replace(tzinfo=dt.UTC))


def _text(values: "Sequence[Any]") -> str:
    return "|".join("null" if value is None else str(value) for value in values)
