"""The few phrases of SQL that engines spell apart."""

from dataclasses import dataclass

from lakeline.features.offline.types import DATE


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """How an engine spells what the planner needs beside standard SQL.

    Attributes:
        micros: Microseconds since 1970 of a timestamp, with ``{}`` for the column; one without a zone is in UTC.
        date_micros: The same of a date.
        wide: Integer type of at least 126 bits.
        quotient: Whole quotient of ``{0}`` by ``{1}`` as a 64-bit integer, both not negative.
        remainder: What that division leaves, as a 64-bit integer.
        instant: Literal of a moment with a time zone, with ``{}`` for its ISO text.
        local: Literal of a moment without one.
    """

    micros: str
    date_micros: str
    wide: str
    quotient: str
    remainder: str
    instant: str
    local: str

    def column_micros(self, column: str, kind: str) -> str:
        """Microseconds of a time column of that Iceberg type."""
        return (self.date_micros if kind == DATE else self.micros).format(quoted(column))


DUCKDB = Dialect(
    micros="epoch_us({})",
    date_micros="epoch_us({}::timestamp)",
    wide="HUGEINT",
    quotient="({0} // {1})::BIGINT",
    remainder="({0} % {1})::BIGINT",
    instant="TIMESTAMPTZ '{}'",
    local="TIMESTAMP '{}'",
)


def quoted(name: str) -> str:
    """A name as SQL writes it: in quotes, its own quotes doubled."""
    escaped = name.replace('"', '""')
    return f'"{escaped}"'
