"""The flights domain: who owns it and which days it has."""

from pathlib import Path

from lakeline.domain import Daily, Domain

# The last flights of 31 December leave after midnight UTC, so the year has 366 UTC days.
flights = Domain(
    "flights", owner="team:network-ops", partitions=Daily("2013-01-01", until="2014-01-02")
)

DBT = Path(__file__).parents[2] / "dbt"
