"""Runs the function of an on-demand view, which is written for Polars, where Feast hands over pandas frames."""

import importlib
from typing import TYPE_CHECKING

from lakeline.errors import ModelError
from lakeline.features.on_demand import OnDemand

if TYPE_CHECKING:
    import pandas as pd


class FunctionGoneError(ModelError):
    """A registry names a function that the code no longer has."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(
            f"The registry computes features with {module}.{name}, which is no on-demand view any more. "
            "Apply the registry again: lakeline features apply."
        )


def compute_on_pandas(module: str, name: str, frame: "pd.DataFrame") -> "pd.DataFrame":
    """Features of the on-demand view that a module holds under a name.

    pandas turns integers into floats where a row has none; the function is given integers, and nulls stay nulls.

    Raises:
        FunctionGoneError: It holds none.
        RequestValueError: A value is none of the request's type, as an integer of more digits than a float holds may be.
    """
    import polars as pl

    view = getattr(importlib.import_module(module), name, None)
    if not isinstance(view, OnDemand):
        raise FunctionGoneError(module, name)
    rows = pl.DataFrame(pl.from_pandas(frame[list(view.request)]))
    values = view.compute(rows)
    found = values.to_pandas()
    for column in values:
        # Only where they are needed: Feast infers the types of a view from a frame without gaps, and knows no others.
        if column.dtype.is_integer() and column.has_nulls():
            found[column.name] = column.to_pandas(use_pyarrow_extension_array=True)
    found.index = frame.index
    return found
