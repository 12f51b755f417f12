"""Plain functions become assets of one lineage graph."""

from lakeline.collecting import importing

with importing():  # Whoever declares a domain holds Dagster by now.
    from lakeline.domain.domain import Daily, Domain
    from lakeline.domain.features import Features
    from lakeline.domain.handles import Table
    from lakeline.domain.loading import load_domain
    from lakeline.domain.outcome import Check, Report, Rows
    from lakeline.domain.reads import Read, latest, past

__all__ = [
    "Check",
    "Daily",
    "Domain",
    "Features",
    "Read",
    "Report",
    "Rows",
    "Table",
    "latest",
    "load_domain",
    "past",
]
