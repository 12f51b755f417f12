"""The command line. Its modules import nothing heavy at the top, so that help is there at once."""

from lakeline.cli.app import app as main

__all__ = ["main"]
