"""The checks of a training set: that nothing in it was known only after its decisions, and that no feature looks as if."""

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lakeline.domain.outcome import Check

if TYPE_CHECKING:
    import polars as pl

    from lakeline.domain.features import Features
    from lakeline.domain.labels import Labelled
    from lakeline.features.strength import FeatureStrength

FUTURE, LEAKAGE = LEAK_CHECKS = ("future", "leakage")
"""Checks of every training set: nothing known only after the decision, and no feature that knows the label's future."""
DAYS = 30
"""Newest days of a run that the strengths of features are measured on."""
FEWEST_DAYS = 7
"""With fewer days, chance alone makes steps that look like leaks."""
ROWS = 20_000
TOO_FEW = "days_too_few"
"""Number of the leakage check where it could not look."""


def leak_checks(
    labelled: "Labelled", rows: "pl.DataFrame", features: "Features"
) -> tuple[Check, Check]:
    """Both checks over the rows of a run.

    Args:
        labelled: Which columns are label and times.
        rows: Decisions with their features.
        features: The handle that joined them.
    """
    return _future(labelled, rows, features), _leakage(labelled, rows, features)


def has_looked(check: Check) -> bool:
    """Whether a leak check had enough rows to say anything."""
    return TOO_FEW not in check.numbers


def _future(labelled: "Labelled", rows: "pl.DataFrame", features: "Features") -> Check:
    """Joined again without Feast, by event time alone and by both times: what equals only the first was not known yet."""
    from lakeline.features.leakage import early_values, future_leaks

    sources = [table.features() for table in features.tables]
    found = [
        *early_values(rows, sources, at=labelled.at),
        *future_leaks(
            rows, at=labelled.at, known={}, label=labelled.label, label_known=labelled.known
        ),
    ]
    return Check(
        name=FUTURE,
        passed=not found,
        description=_told([one.reason for one in found]),
        numbers={f"early_{one.column}": one.rows for one in found},
    )


def _leakage(labelled: "Labelled", rows: "pl.DataFrame", features: "Features") -> Check:
    from lakeline.features.strength import earlier_features, knowledge_delay, strengths

    chosen = _newest(labelled, rows)
    days = chosen[labelled.at].dt.date().n_unique()
    if days < FEWEST_DAYS:
        said = f"{days} labelled day(s) are too few to tell; a run over {FEWEST_DAYS} days or more looks at it."
        return Check(name=LEAKAGE, passed=True, description=said, numbers={TOO_FEW: days})
    sources = [table.features() for table in features.tables]
    delay = {source.name: knowledge_delay(source) for source in sources}
    first, second = earlier_features(chosen, sources, at=labelled.at, delay=delay)
    names = [name for held in features.served.names.values() for name in held]
    found = strengths(
        chosen, first, still_earlier=second, features=names, label=labelled.label, at=labelled.at
    )
    suspects = [one for one in found if one.is_suspect]
    return Check(
        name=LEAKAGE,
        passed=not suspects,
        description=_told([one.reason for one in suspects]) or _strongest(found),
        numbers={f"auc_{one.feature}": round(one.joined, 4) for one in found}
        | {f"delay_h_{name}": round(one.total_seconds() / 3600, 2) for name, one in delay.items()},
    )


def _newest(labelled: "Labelled", rows: "pl.DataFrame") -> "pl.DataFrame":
    """Labelled rows of the newest days, no more than can be looked at in a second or two."""
    import polars as pl

    known = rows.filter(pl.col(labelled.label).is_not_null())
    if known.is_empty():
        return known
    last = known[labelled.at].max()
    assert isinstance(last, dt.datetime)
    newest = known.filter(pl.col(labelled.at) > last - dt.timedelta(days=DAYS))
    return newest.sample(ROWS, seed=0) if newest.height > ROWS else newest


def _strongest(found: "Sequence[FeatureStrength]") -> str:
    best = max(found, key=lambda one: one.joined)
    return (
        f"No feature gains by a leak; the strongest alone is {best.feature}, AUC {best.joined:.3f}."
    )


def _told(reasons: Sequence[str]) -> str:
    return " ".join(reasons[:3])
