"""Clean tables: dbt models in ``dbt/models/flights``, audited and published like every other table."""

from assets.flights.contracts import DepartureClean, WeatherClean
from assets.flights.domain import DBT, flights
from assets.flights.raw import airlines, airports, departures, planes, weather

departures_clean = flights.dbt_model(
    "departures_clean",
    contract=DepartureClean,
    project=DBT,
    reads=[departures, planes, airports, airlines],
    fresh="48h",
)
weather_clean = flights.dbt_model(
    "weather_clean", contract=WeatherClean, project=DBT, reads=[weather], fresh="48h"
)
