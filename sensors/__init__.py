"""When: what launches runs by itself."""
