"""Where an asset runs and what it may use: declared once with `Compute`, honoured on every launch path."""

from lakeline.compute.declaration import Compute

__all__ = ["Compute"]
