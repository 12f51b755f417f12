"""The flights of half a year with features that leak, and without."""
