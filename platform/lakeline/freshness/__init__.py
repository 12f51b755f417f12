"""Freshness: how far data reaches, whether it is consistent with what it was built from, and what is built next."""
