"""Domains as Feast projects: what they declare, where it is registered, and joins through Feast's API."""

import warnings

with warnings.catch_warnings():
    import feast  # noqa: F401 - it changes the filters of warnings of the whole process
