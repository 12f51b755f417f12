"""Feast on lakeline: a source, an offline and an online store, and what domains declare as Feast objects."""
