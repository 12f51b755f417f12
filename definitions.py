"""The code location: everything this deployment runs."""

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Every asset, check, job, sensor and resource, loaded when Dagster asks and not on import."""
    from assets.flights import clean, domain, features, models, monitoring, raw
    from resources import build_resources, load_settings

    modules = (raw, clean, features, models, monitoring)
    assert all(modules), "importing a module declares its assets"
    return dg.Definitions(
        assets=domain.flights.assets,
        resources=build_resources(load_settings()),
        executor=dg.in_process_executor,
    )
