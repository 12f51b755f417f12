"""Importing Feast without what no asset needs: torch, and checks of types at each call.

Feast imports torch where that is installed, for an answer as tensors, and lets typeguard write checks into its classes, for
which their files are parsed and compiled once a method. Together that is three and a half of the 4.7 seconds of CPU, and
490 of the 670 MiB, that `import feast` takes; it takes them in every process that joins features. Decision 0023.
"""

import importlib
import sys
import types
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_TORCH = "feast.torch_wrapper"


def import_feast() -> None:
    """Import Feast, unless that is done: then it stays as it is."""
    if "feast" in sys.modules:
        return
    sys.modules[_TORCH] = _late_torch()
    # Feast changes the filters of warnings of the whole process.
    with warnings.catch_warnings(), _unchecked_calls():
        importlib.import_module("feast")


def _late_torch() -> types.ModuleType:
    """Feast's module of torch, which imports it when it is asked for."""
    module = types.ModuleType(_TORCH)
    module.__dict__["get_torch"] = lambda: importlib.import_module("torch")
    return module


@contextmanager
def _unchecked_calls() -> Iterator[None]:
    """Let typeguard leave what it decorates as it is, as it does under ``python -O``."""
    import typeguard

    checked = typeguard.typechecked
    typeguard.__dict__["typechecked"] = lambda target: target
    try:
        yield
    finally:
        typeguard.__dict__["typechecked"] = checked
