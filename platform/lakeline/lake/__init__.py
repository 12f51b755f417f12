"""Iceberg tables: files are staged, audited, and published by one commit that replaces whole partitions."""

from lakeline.lake.catalog import Lake

__all__ = ["Lake"]
