"""Feast on lakeline: a source, an offline and an online store, and what domains declare as Feast objects."""

from lakeline.feast.importing import import_feast

import_feast()
