"""Historical features from Iceberg tables: planned as SQL, run by DuckDB, as they were known at each moment."""
