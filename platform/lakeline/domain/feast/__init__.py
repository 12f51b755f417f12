"""Domains as Feast projects: what they declare, where it is registered, and joins through Feast's API."""

import lakeline.feast  # noqa: F401 - it imports Feast lightly, before a module here does
