"""The flights domain: who owns it and which days it has."""

from pathlib import Path

from lakeline.domain import Daily, Domain
from resources.settings import load_settings

# Read when the code location loads, because partitions are part of the graph.
YEAR = load_settings().flights_year

# The last flights of 31 December leave after midnight UTC, so the year has one UTC day more.
flights = Domain(
    "flights",
    owner="team:network-ops",
    partitions=Daily(f"{YEAR}-01-01", until=f"{YEAR + 1}-01-02"),
)

DBT = Path(__file__).parents[2] / "dbt"
