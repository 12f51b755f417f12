"""Causes that change the value itself: never written, a default for null, a narrower float, another code."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from lakeline.features.equality import is_same
from lakeline.features.evidence import Evidence
from lakeline.features.guess import FITTED, Guess

if TYPE_CHECKING:
    import polars as pl

DEFAULTS = (0, -1, -999, "", "None", "nan", "null", "unknown", False)
"""What stores and clients commonly say instead of nothing."""


class NotWritten:
    """The store never got the feature."""

    name = "not written"

    def guesses(self, evidence: Evidence) -> Iterator[Guess]:
        """Nothing for anybody."""
        import polars as pl

        rows = evidence.offline.height
        nothing = {
            name: pl.Series(name, [None] * rows, dtype=evidence.offline.schema[name])
            for name in evidence.features
        }
        detail = "the store has no value of it at all"
        yield Guess(detail=detail, values=nothing, least_consistent=FITTED)


class DefaultForNull:
    """A default stands where there is no value."""

    name = "default for null"

    def guesses(self, evidence: Evidence) -> Iterator[Guess]:
        """For each default that was served for a null: that one, always."""
        for feature in evidence.features:
            offline = evidence.offline[feature]
            found = evidence.served[feature].filter(offline.is_null()).drop_nulls().mode()
            for default in found.to_list():
                if _is_default(default):
                    filled = _filled(evidence, feature, default)
                    detail = f"{default!r} is served where there is no value"
                    yield Guess(detail=detail, values={feature: filled})


class FloatWidth:
    """The value went through a narrower type."""

    name = "float width"

    def guesses(self, evidence: Evidence) -> Iterator[Guess]:
        """Floats rounded to 32 bits; integers that were floats of 32 or 64 bits on their way."""
        import polars as pl

        floats, integers = _typed(evidence, "is_float"), _typed(evidence, "is_integer")
        for dtype, names in ((pl.Float32(), (*floats, *integers)), (pl.Float64(), integers)):
            values = {name: _through(evidence.offline[name], dtype) for name in names}
            if values:
                yield Guess(detail=f"values are rounded to {dtype}", values=values)


class CategoryCode:
    """Values are served under another code, one to one."""

    name = "category code"

    def guesses(self, evidence: Evidence) -> Iterator[Guess]:
        """For each value the one that other reads were served for it."""
        for feature in evidence.features:
            if not evidence.offline[feature].dtype.is_float():
                codes = _codes(evidence, feature)
                if codes:
                    value, code = next(iter(codes.items()))
                    yield Guess(
                        detail=f"each value is served under another code, such as {code!r} for {value!r}",
                        values={feature: _recoded(evidence, feature, codes)},
                        least_consistent=FITTED,
                    )


def _typed(evidence: Evidence, test: str) -> tuple[str, ...]:
    dtypes = evidence.offline.schema
    return tuple(name for name in evidence.features if getattr(dtypes[name], test)())


def _through(values: "pl.Series", dtype: "pl.DataType") -> "pl.Series":
    return values.cast(dtype).cast(values.dtype, strict=False)


def _is_default(value: object) -> bool:
    return value != value or value in DEFAULTS  # noqa: PLR0124 - NaN differs from itself


def _filled(evidence: Evidence, feature: str, default: object) -> "pl.Series":
    """The offline values with the default for null; in the type served where the default fits no other."""
    import polars as pl

    offline, dtype = evidence.offline[feature], evidence.served[feature].dtype
    values = offline if offline.dtype == dtype else offline.cast(dtype, strict=False)
    is_there = offline.is_not_null()
    return pl.select(pl.when(is_there).then(values).otherwise(pl.lit(default))).to_series()


def _codes(evidence: Evidence, feature: str) -> dict[object, object]:
    """For each value the one most often served for it, where both stand for one another and more than one read says so."""
    import polars as pl

    pairs = pl.DataFrame(
        {
            "value": evidence.offline[feature],
            "code": evidence.served[feature],
            "weight": evidence.weights[feature],
        }
    ).drop_nulls()
    counts = pairs.group_by("value", "code").agg(pl.col("weight").sum(), reads=pl.len())
    best = counts.filter(pl.col("reads") > 1).sort("weight", "reads", descending=True)
    to_one = best.unique("value", keep="first", maintain_order=True)
    one_to_one = to_one.filter(pl.col("code").is_unique())
    moved = ~is_same(one_to_one["value"], one_to_one["code"], evidence.tolerance)
    found = (
        one_to_one.select("value", "code").filter(pl.Series(moved, dtype=pl.Boolean)).sort("value")
    )
    return dict(found.iter_rows())


def _recoded(evidence: Evidence, feature: str, codes: Mapping[object, object]) -> "pl.Series":
    """The offline values in the type served, those with a code under it."""
    import polars as pl

    offline, dtype = evidence.offline[feature], evidence.served[feature].dtype
    other = offline.cast(dtype, strict=False)
    coded = offline.replace_strict(
        pl.Series(list(codes), dtype=offline.dtype),
        pl.Series(list(codes.values()), dtype=dtype),
        default=None,
        return_dtype=dtype,
    )
    return pl.select(pl.coalesce(coded, other)).to_series()
