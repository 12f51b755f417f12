"""The code location: everything this deployment runs."""

import dagster as dg


@dg.definitions
def defs() -> dg.Definitions:
    """Every asset, check, job, sensor and resource, loaded when Dagster asks and not on import."""
    from assets import flights, shop
    from lakeline.domain import load_domain
    from resources import build_resources, load_settings
    from sensors.freshness import freshness_checks, freshness_sensor
    from sensors.pods import pods_sensor

    settings = load_settings()
    domains = [load_domain(package) for package in (flights, shop)]
    assets = [asset for domain in domains for asset in domain.assets]
    # A job a domain: Dagster refuses one whose assets have different partitions.
    jobs = [
        dg.define_asset_job(
            f"{domain.name}_everything",
            dg.AssetSelection.assets(*domain.routine),
            description=f"The graph of {domain.name}, but what is left to people, for a range of days.",
        )
        for domain in domains
    ]
    return dg.Definitions(
        assets=assets,
        jobs=jobs,
        asset_checks=[freshness_checks(assets)],
        sensors=[freshness_sensor(assets, settings), pods_sensor(settings)],
        resources=build_resources(settings),
        executor=dg.in_process_executor,
    )
