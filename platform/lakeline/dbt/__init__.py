"""dbt models as assets: SQL that reads pinned Iceberg tables and whose rows are audited and published like any other."""
