"""Whether a model's ONNX form may serve: it is made, and must answer thousands of rows as the model itself does.

Real rows where there are enough, and rows made of them that a server will meet one day: with nulls, with names that
training never saw, and with amounts beyond the ranges of training.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from lakeline.errors import MissingExtraError, ModelError
from lakeline.models.card import numbered
from lakeline.models.onnx_form import NoOnnxFormError, onnx_of, onnx_scores
from lakeline.models.training import feature_matrix

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

    from lakeline.models.training import TrainedModel

    Floats = npt.NDArray[np.float64]

ROWS = 10_000
DISTURBED_SHARE = 0.1
TOLERANCE = 1e-5
"""Largest difference of two probabilities that counts as equal: 30 times what float32 sums of 200 trees make."""

ONNX_FILE = "model.onnx"
CHECK_FILE = "onnx.json"
SERVABLE, BECAUSE, ONNX, DIFFERENCE = (
    "lakeline.servable",
    "lakeline.servable_because",
    "lakeline.onnx",
    "lakeline.onnx_difference",
)
"""Tags of a version: yes or no, why, SHA-256 of the form, and the largest difference to the model."""


class NoRowsError(ModelError):
    """There is nothing to check a form on."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The ONNX form of model '{name}' cannot be checked without rows. Build its training set first."
        )


class NotServableError(ModelError):
    """A version has no form that may serve."""

    def __init__(self, name: str, version: int, because: str) -> None:
        super().__init__(
            f"Version {version} of model '{name}' cannot serve: {because or 'its ONNX form was never made'}. "
            f"Make and check it with: lakeline servable {name.replace('.', '/', 1)}@{version}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ServableForm:
    """A form with what became of its check.

    Attributes:
        content: The form; empty where none could be made.
        is_servable: Whether it answers as the model does.
        because: Why, in a sentence; where packages are missing, with the command that adds them.
        rows: Rows that both answered.
        difference: The largest difference of two probabilities.
        tolerance: What counts as equal.
    """

    content: bytes = field(repr=False)
    is_servable: bool
    because: str
    rows: int = 0
    difference: float | None = None
    tolerance: float = TOLERANCE

    def tags_of(self, version: int) -> dict[str, str]:
        """What the registry says of the version that has this number."""
        because = numbered(self.because, version)
        told = {SERVABLE: "yes" if self.is_servable else "no", BECAUSE: because}
        if self.difference is not None:
            told[DIFFERENCE] = f"{self.difference:.3g}"
        return {**told, **({ONNX: sha256(self.content)} if self.content else {})}

    @property
    def files(self) -> dict[str, str | bytes]:
        """What lies beside the model; nothing where no form could be made."""
        if not self.content:
            return {}
        told = {name: one for name, one in asdict(self).items() if name != "content"}
        said = json.dumps({**told, "sha256": sha256(self.content)}, indent=2, sort_keys=True)
        return {ONNX_FILE: self.content, CHECK_FILE: said}


def servable_form(
    model: "TrainedModel", rows: "pl.DataFrame", *, again: str, tolerance: float = TOLERANCE
) -> ServableForm:
    """The ONNX form of a model, checked; a model without one is no error, since it predicts all the same.

    Args:
        model: What was trained.
        rows: Rows as it reads them, the more the better.
        again: Command that makes the form later, for what is said where packages are missing; the version's number is
            filled in.
        tolerance: Largest difference of two probabilities that counts as equal.

    Raises:
        NoRowsError: There are no rows.
    """
    if rows.is_empty():
        raise NoRowsError(model.name)
    asked = check_rows(model, rows)
    matrix_ND = feature_matrix(asked, model.features, model.categories)
    try:
        content = onnx_of(model)
        answered_N = onnx_scores(content, matrix_ND)
    except NoOnnxFormError as error:
        return ServableForm(content=b"", is_servable=False, because=str(error))
    except MissingExtraError as error:
        said = f"{error} Then: {again}"
        return ServableForm(content=b"", is_servable=False, because=said)
    difference = _largest(model.predict(asked), answered_N)
    is_equal = difference <= tolerance
    said = "equals" if is_equal else "differs from"
    because = f"its ONNX form {said} the model: up to {difference:.2g} on {asked.height:,} rows, and {tolerance:g} is allowed"
    return ServableForm(
        content=content,
        is_servable=is_equal,
        because=because,
        rows=asked.height,
        difference=difference,
        tolerance=tolerance,
    )


def check_rows(
    model: "TrainedModel", rows: "pl.DataFrame", *, count: int = ROWS, seed: int = 0
) -> "pl.DataFrame":
    """Rows to ask both: real ones, each once where they suffice, and a tenth of them disturbed; equal for equal rows.

    Args:
        model: Which columns, and which of them are names.
        rows: Real rows, at least one.
        count: How many are wanted.
        seed: Of every draw.
    """
    import numpy as np
    import polars as pl

    is_name = [name for name in model.features if name in model.categories]
    columns = rows.select(model.features).with_columns(pl.col(is_name).cast(pl.String))
    draw = np.random.default_rng(seed)
    disturbed = int(count * DISTURBED_SHARE)
    wanted = count - disturbed
    if columns.height >= wanted:
        real = columns.sample(wanted, seed=seed)
    else:
        real = pl.concat([columns, _jittered(model, columns, wanted - columns.height, draw)])
    return pl.concat([real, _disturbed(model, columns, disturbed, draw)])


def _jittered(
    model: "TrainedModel", rows: "pl.DataFrame", count: int, draw: "np.random.Generator"
) -> "pl.DataFrame":
    """Rows drawn again, their amounts moved by up to a tenth of the column's spread."""
    import polars as pl

    drawn = _drawn(rows, count, draw)
    moved = []
    for name in _amounts(model, rows):
        spread = rows[name].cast(pl.Float64).std()
        width = 0.1 * float(spread) if isinstance(spread, float) else 0.0
        by = pl.Series(draw.uniform(-width, width, count))
        moved.append((drawn[name].cast(pl.Float64) + by).cast(rows.schema[name]).alias(name))
    return drawn.with_columns(moved)


def _disturbed(
    model: "TrainedModel", rows: "pl.DataFrame", count: int, draw: "np.random.Generator"
) -> "pl.DataFrame":
    """Rows drawn again: in a third of each column's cells nulls, in a third what training never saw."""
    import polars as pl

    drawn, changed = _drawn(rows, count, draw), []
    for name in model.features:
        values, which = drawn[name], pl.lit(pl.Series(draw.integers(0, 3, count)))
        strange = pl.lit(_strange(values, draw))
        told = (
            pl.when(which == 0).then(None).when(which == 1).then(strange).otherwise(pl.lit(values))
        )
        changed.append(pl.select(told.cast(values.dtype).alias(name)).to_series())
    return pl.DataFrame(changed)


def _strange(values: "pl.Series", draw: "np.random.Generator") -> "pl.Series":
    """What training never saw in a column: another name, or amounts far beyond; nulls for truths."""
    import polars as pl

    if values.dtype == pl.String:
        return pl.Series(["never seen before"] * len(values))
    if values.dtype.is_numeric():
        far = values.cast(pl.Float64) * 10 + pl.Series(draw.normal(size=len(values)))
        return far.cast(values.dtype, strict=False)
    return pl.Series([None] * len(values), dtype=values.dtype)


def _drawn(rows: "pl.DataFrame", count: int, draw: "np.random.Generator") -> "pl.DataFrame":
    drawn: pl.DataFrame = rows[draw.integers(0, rows.height, count).tolist()]
    return drawn


def _amounts(model: "TrainedModel", rows: "pl.DataFrame") -> list[str]:
    return [
        name
        for name in model.features
        if name not in model.categories and rows.schema[name].is_numeric()
    ]


def _largest(one_N: "Floats", other_N: "Floats") -> float:
    """The largest difference; infinite where one of the two is no number."""
    import numpy as np

    far_N = np.abs(one_N - other_N)
    return float(np.nan_to_num(far_N, nan=np.inf).max(initial=0.0))


def sha256(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def is_servable(tags: Mapping[str, str]) -> bool:
    """Whether a version with these tags may serve."""
    return tags.get(SERVABLE) == "yes"
