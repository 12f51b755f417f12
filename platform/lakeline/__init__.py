"""A Dagster platform for data and machine learning; start with `lakeline.domain`."""
