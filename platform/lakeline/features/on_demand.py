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


class RequestValueError(ModelError):
    """A request brings values that are not of the type that was declared."""

    def __init__(self, view: str, name: str, kind: type, has: object) -> None:
        super().__init__(
            f"On-demand view '{view}' wants '{name}' as {kind.__name__}, and some of its {has} values are none."
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

        The function is given values of the request's types, whatever the types of the rows.

        Raises:
            ColumnsMissingError: The rows lack a value of the request.
            RequestValueError: A value is none of the request's type.
            OnDemandError: The function returns other columns or another number of rows.
        """
        import polars as pl

        from lakeline.contract.arrow import polars_schema

        missing = [name for name in self.request if name not in rows.columns]
        if missing:
            raise ColumnsMissingError(f"The request of '{self.name}'", missing, rows.columns)
        found = self.function(
            rows.select(self._typed(rows[name], kind) for name, kind in self.request.items())
        )
        if found.height != rows.height:
            raise OnDemandError(self.name, f"returned {found.height} rows for {rows.height}")
        if lacking := [name for name in self.features if name not in found.columns]:
            raise OnDemandError(self.name, f"did not return {', '.join(lacking)}")
        return found.select(self.features).cast(pl.Schema(polars_schema(self.contract)))

    def _typed(self, values: "pl.Series", kind: RequestType) -> "pl.Series":
        """Values of a request in its type; a number that pandas has for a gap is null."""
        import polars as pl

        wanted, has = _types()[kind], values.dtype
        if has in (wanted, pl.Null()):
            return values.cast(wanted)
        if kind is not float and has.is_float():
            values = values.fill_nan(None)
        refusal = RequestValueError(self.name, values.name, kind, has)
        if kind is dt.datetime and not has.is_temporal():
            raise refusal
        try:
            found = values.cast(wanted)
            is_kept = kind not in (int, bool) or bool((found.cast(has) == values).all())
            if kind is int and has.is_float():
                # From there on a float stands for several integers.
                is_kept &= bool((values.abs() < 2**53).all())
        except pl.exceptions.PolarsError as error:
            raise refusal from error
        if not is_kept:
            raise refusal
        return found


def _types() -> "dict[RequestType, pl.DataType]":
    """The type that a function is given for each type of a request."""
    import polars as pl

    return {
        bool: pl.Boolean(),
        int: pl.Int64(),
        float: pl.Float64(),
        str: pl.String(),
        dt.datetime: pl.Datetime("us", "UTC"),
    }
