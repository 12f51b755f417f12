"""Evidently's reports as HTML: the pictures beside lakeline's own numbers.

Evidently takes seconds to import and reads pandas frames, so that this module alone touches it, on samples.
"""

import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lakeline.monitoring.drift import THRESHOLD

if TYPE_CHECKING:
    import polars as pl

SAMPLE_ROWS = 5000
"""Rows of each frame that are drawn, with one seed; 13 columns of 3,000 rows take Evidently a second."""


def drift_html(
    reference: "pl.DataFrame",
    current: "pl.DataFrame",
    *,
    columns: Sequence[str],
    threshold: float = THRESHOLD,
    drift_share: float = 0.5,
) -> str:
    """Page with the distribution of each column in both frames.

    Evidently bins in its own way and draws a sample, so that its index differs from that of the drift report, by half of it
    at times: what the report found belongs above the pictures, as `verdict.headed` puts it there.

    Args:
        reference: What the columns looked like.
        current: What they look like.
        columns: Numbers, truths and text.
        threshold: Population stability index from which on a column counts as drifted.
        drift_share: Share of drifted columns from which on the page says that the dataset has drifted.
    """
    evidently = _evidently()
    from evidently.presets import DataDriftPreset

    numbers = [name for name in columns if reference.schema[name].is_numeric()]
    definition = evidently.DataDefinition(
        numerical_columns=numbers,
        categorical_columns=[name for name in columns if name not in numbers],
    )
    preset = DataDriftPreset(
        columns=list(columns), method="psi", threshold=threshold, drift_share=drift_share
    )
    return _run(preset, definition, reference.select(columns), current.select(columns))


def performance_html(
    current: "pl.DataFrame",
    reference: "pl.DataFrame | None" = None,
    *,
    label: str,
    score: str,
) -> str:
    """Page with the quality of scores: confusion matrix, curves and, given a reference, how they compare with it.

    Args:
        current: Rows with label and score; rows without either are left out.
        reference: Such rows of the time before, or of the evaluation.
        label: Boolean or 0/1 column.
        score: Column of probabilities.
    """
    import polars as pl

    evidently = _evidently()
    from evidently.presets import ClassificationPreset

    def prepared(frame: pl.DataFrame) -> pl.DataFrame:
        known = frame.select(label, score).drop_nulls()
        return known.with_columns(pl.col(label).cast(pl.Int64), pl.col(score).cast(pl.Float64))

    task = evidently.BinaryClassification(target=label, prediction_probas=score, pos_label=1)
    definition = evidently.DataDefinition(
        classification=[task], numerical_columns=[score], categorical_columns=[label]
    )
    before = None if reference is None else prepared(reference)
    return _run(ClassificationPreset(), definition, before, prepared(current))


def _run(
    preset: object,
    definition: object,
    reference: "pl.DataFrame | None",
    current: "pl.DataFrame",
) -> str:
    evidently = _evidently()
    data = [
        None
        if frame is None
        else evidently.Dataset.from_pandas(_sample(frame).to_pandas(), data_definition=definition)
        for frame in (current, reference)
    ]
    with warnings.catch_warnings():
        # Divisions by empty bins, which Evidently handles, and its libraries' deprecations.
        warnings.simplefilter("ignore")
        snapshot = evidently.Report([preset], include_tests=True).run(*data)
        return str(snapshot.get_html_str(as_iframe=False))


def _sample(frame: "pl.DataFrame") -> "pl.DataFrame":
    return frame if frame.height <= SAMPLE_ROWS else frame.sample(SAMPLE_ROWS, seed=0)


def _evidently() -> Any:
    """Evidently, without its telemetry and without the warnings of its import."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import evidently
        import evidently.presets
    return evidently
