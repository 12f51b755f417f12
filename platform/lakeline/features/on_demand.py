"""Features that are computed from the request itself, by the same function in training, in scoring and online."""

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.errors import ColumnsMissingError, ModelError

if TYPE_CHECKING:
    import polars as pl

    from lakeline.contract import Contract

RequestType = type[bool] | type[int] | type[float] | type[str] | type[dt.datetime]

REQUEST_TYPES: tuple[RequestType, ...] = (bool, int, float, str, dt.datetime)
"""Types that a value of a request may have; a moment is aware."""


class OnDemandError(ModelError):
    """A function of on-demand features returns something else than it promises."""

    def __init__(self, view: str, problem: str) -> None:
        super().__init__(
            f"On-demand view '{view}' {problem}. Its function is given rows and returns as many, in their order, with "
            "the columns of its contract."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class OnDemand:
    """On-demand features: a pure function from the values of a request to the columns of a contract.

    Attributes:
        name: Of the view.
        function: Takes a frame with the columns of ``request`` and returns one with the columns of ``contract``, row by
            row in the same order.
        request: Column and type of each value that a request brings.
        contract: The features.
        owner: ``team:name`` or an e-mail address.
    """

    name: str
    function: "Callable[[pl.DataFrame], pl.DataFrame]"
    request: Mapping[str, RequestType]
    contract: "type[Contract]"
    owner: str

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features."""
        return tuple(self.contract.columns)

    def compute(self, rows: "pl.DataFrame") -> "pl.DataFrame":
        """The features of each row, shape ``(rows, features)``, of the contract's types.

        Raises:
            ColumnsMissingError: The rows lack a value of the request.
            OnDemandError: The function returns other columns or another number of rows.
        """
        import polars as pl

        from lakeline.contract.arrow import polars_schema

        missing = [name for name in self.request if name not in rows.columns]
        if missing:
            raise ColumnsMissingError(f"The request of '{self.name}'", missing, rows.columns)
        found = self.function(rows.select(list(self.request)))
        if found.height != rows.height:
            raise OnDemandError(self.name, f"returned {found.height} rows for {rows.height}")
        if lacking := [name for name in self.features if name not in found.columns]:
            raise OnDemandError(self.name, f"did not return {', '.join(lacking)}")
        return found.select(self.features).cast(pl.Schema(polars_schema(self.contract)))
