"""The gate between training a model and serving it: challenger against champion, and the aliases that only it moves.

Both are measured on the newest labelled days outside both training windows, by the metric that the model names. The
challenger takes over when it is better beyond the interval of a paired bootstrap over those days; everything else,
a tie too, keeps the champion. Days on which the champion was chosen may be among them, which favours the champion.
"""

import datetime as dt
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lakeline.errors import (
    ColumnsMissingError,
    CorruptModelError,
    FeatureTypeError,
    ModelError,
)
from lakeline.models.comparison import Comparison, compare
from lakeline.models.learning import GateRules
from lakeline.models.metrics import metric_named
from lakeline.models.registry import CHAMPION

if TYPE_CHECKING:
    import polars as pl

    from lakeline.models.registry import Registry
    from lakeline.models.training import TrainedModel
    from lakeline.models.training_set import TrainingSet
    from lakeline.models.trial import Trial
    from lakeline.models.version_files import RegisteredVersion

CHALLENGER = "challenger"
BY_GATE = "gate"
PROMOTED_BY, PROMOTED_BECAUSE, PROMOTED_TS = (
    "lakeline.promoted_by",
    "lakeline.promoted_because",
    "lakeline.promoted_ts",
)
REFUSED_BECAUSE = "lakeline.refused_because"
PREVIOUS = "lakeline.previous_champion"
"""Tag of a version: number of the champion that it took over from."""


BOTH_NEEDED = "Wait for days with both outcomes, or take more days with a longer holdout="
"""What to do where all days that judge have one outcome."""


class NothingToRollBackError(ModelError):
    """A model has no champion before the present one."""

    def __init__(self, name: str, version: int | None, has: "list[RegisteredVersion]") -> None:
        present = f"Version {version} is its first champion" if version else "It has no champion"
        known = ", ".join(str(one.version) for one in has) or "none"
        super().__init__(
            f"Model '{name}' has nothing to roll back to. {present}. "
            f"Promote one of its versions ({known}) with: lakeline promote MODEL VERSION --because …"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Contender:
    """A model and where its training window ends."""

    model: "TrainedModel"
    learned_until: dt.datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class GateDecision:
    """What the gate decided, with its figures.

    Attributes:
        promoted: Whether the challenger becomes the champion.
        metric: What was compared.
        reason: In words, for people.
        challenger, champion: The metric of each; NaN where it was not measured.
        difference: By how much the challenger is better, in the metric's unit; below 0 it is worse.
        low, high: Interval of the difference.
        days, rows: What was compared on.
    """

    promoted: bool
    metric: str
    reason: str
    challenger: float = math.nan
    champion: float = math.nan
    difference: float = math.nan
    low: float = math.nan
    high: float = math.nan
    days: int = 0
    rows: int = 0

    @property
    def numbers(self) -> dict[str, float]:
        """The figures that were measured, by name."""
        held = {
            f"challenger_{self.metric}": self.challenger,
            f"champion_{self.metric}": self.champion,
            "difference": self.difference,
            "difference_low": self.low,
            "difference_high": self.high,
            "days": float(self.days),
            "rows": float(self.rows),
        }
        return {name: value for name, value in held.items() if not math.isnan(value)}


def decide(
    challenger: Contender, champion: Contender, rows: "TrainingSet", *, rules: GateRules
) -> GateDecision:
    """Whether the challenger takes over.

    Args:
        challenger: The newly trained model.
        champion: The model in service.
        rows: Labelled rows, those that either learned from among them.
        rules: How they are judged.

    Raises:
        ColumnsMissingError, FeatureTypeError: One of them reads columns that the rows do not have.
        UnknownMetricError: There is no such metric.
    """
    metric_named(rules.metric)
    if challenger.model.digest == champion.model.digest:
        return GateDecision(promoted=False, metric=rules.metric, reason="it is the champion again")
    outside = newest_days(
        rows.after(max(challenger.learned_until, champion.learned_until)), rules.days
    )
    days = _days(outside)
    if (count := days.n_unique()) < rules.min_days:
        return GateDecision(
            promoted=False,
            metric=rules.metric,
            days=count,
            rows=len(days),
            reason=(
                f"only {count} labelled days lie outside both training windows (the champion learned up to "
                f"{champion.learned_until:%Y-%m-%d}, the challenger up to {challenger.learned_until:%Y-%m-%d}), "
                f"and {rules.min_days} are needed: the champion stays"
            ),
        )
    found = compare(
        outside.labels(),
        challenger.model.predict(outside.frame),
        champion.model.predict(outside.frame),
        days=days,
        metric=rules.metric,
        level=rules.level,
    )
    if math.isnan(found.gain) and (alike := _alike(outside)):
        return _undecided(found, alike)
    return _decision(found)


def judge(
    trial: "Trial",
    champion: Contender | None,
    rows: "TrainingSet",
    *,
    rules: GateRules,
    why_none: str = "",
) -> GateDecision:
    """Whether a trained model is to serve: better than the champion, or where none can be asked, than the baselines.

    Args:
        trial: The trained model with its results on days that it never saw.
        champion: The model in service; None where there is none that can be compared.
        rows: Labelled rows, those that either learned from among them.
        rules: How they are judged.
        why_none: Why a champion that there is cannot be compared.
    """
    challenger = Contender(model=trial.model, learned_until=trial.train.end)
    if champion is None:
        return _first(trial, rules, why_none or "the first model")
    try:
        return decide(challenger, champion, rows, rules=rules)
    except (ColumnsMissingError, FeatureTypeError) as error:
        return _first(trial, rules, f"the champion cannot be asked any more ({error})")


def _first(trial: "Trial", rules: GateRules, instead_of: str) -> GateDecision:
    is_worth = trial.beats_baselines
    said = "beats" if is_worth else "does not beat"
    reason = f"it {said} the baselines ({' and '.join(trial.baselines)})"
    if alike := _alike(trial.test):
        reason = (
            f"nothing can be told, since {alike}, and baselines are beaten by rank. {BOTH_NEEDED}"
        )
    return GateDecision(
        promoted=is_worth,
        metric=rules.metric,
        reason=f"{instead_of}: {reason}",
        challenger=abs(float(getattr(trial.metrics, rules.metric))),
        days=_days(trial.test).n_unique(),
        rows=trial.metrics.rows,
    )


def champion_of(registry: "Registry", name: str) -> tuple[Contender | None, str]:
    """The champion as it can be compared, or None and why not; the reason is empty before the first promotion."""
    held = registry.champion(name)
    if held is None:
        return None, ""
    if held.learned_until is None:
        return None, f"version {held.version}, the champion, does not say what it learned from"
    try:
        model = registry.load(name, held.version)
    except CorruptModelError as error:
        return None, f"version {held.version}, the champion, cannot be loaded ({error})"
    return Contender(model=model, learned_until=held.learned_until), ""


def newest_days(rows: "TrainingSet", days: int) -> "TrainingSet":
    """The rows of the newest days that have any."""
    import polars as pl

    kept = _days(rows).unique().sort().tail(days)
    is_kept = pl.col(rows.at).dt.date().is_in(kept.implode())
    return replace(rows, frame=rows.frame.filter(is_kept))


@dataclass(frozen=True, kw_only=True, slots=True)
class Promotion:
    """Who makes a version the champion, and why.

    Attributes:
        by: The gate, or a person.
        because: In words.
        is_rollback: Whether the version served before; then it keeps what it once took over from.
    """

    by: str
    because: str
    is_rollback: bool = False


def crown(
    registry: "Registry", name: str, version: int, promotion: Promotion
) -> "RegisteredVersion":
    """Make a version the champion, with who and why; making it so again only says so anew.

    Raises:
        UnknownModelError: There is no such version.
    """
    found, before = registry.version(name, version), registry.aliased(name, CHAMPION)
    now = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    tags = {PROMOTED_BY: promotion.by, PROMOTED_BECAUSE: promotion.because, PROMOTED_TS: now}
    if before not in (None, version) and not promotion.is_rollback:
        tags[PREVIOUS] = str(before)
    # Before the alias: a version that serves must be able to say since when and what it took over from.
    registry.note(name, version, tags)
    registry.promote(name, version, CHAMPION)
    if registry.aliased(name, CHALLENGER) == version:
        registry.drop_alias(name, CHALLENGER)
    return found


def refuse(registry: "Registry", name: str, version: int, *, because: str) -> None:
    """Keep a version as the challenger that lost; the champion is not touched."""
    if registry.aliased(name, CHAMPION) == version:
        return
    registry.note(name, version, {REFUSED_BECAUSE: because})
    registry.promote(name, version, CHALLENGER)


def previous_champion(registry: "Registry", name: str) -> "RegisteredVersion":
    """The version that the present champion took over from.

    Raises:
        NothingToRollBackError: There is none.
    """
    held = registry.champion(name)
    number = held.tags.get(PREVIOUS) if held else None
    if number is None:
        raise NothingToRollBackError(name, held.version if held else None, registry.versions(name))
    return registry.version(name, int(number))


def _decision(found: Comparison) -> GateDecision:
    by = f"{found.gain:+.4f} {found.metric} ({found.low:+.4f} to {found.high:+.4f}) on {found.days} days"
    reason = (
        f"better than the champion by {by} outside both training windows"
        if found.is_better
        else f"not surely better than the champion, {by}: a tie keeps the champion"
        if found.high > 0
        else f"worse than the champion, {by}"
    )
    return GateDecision(
        promoted=found.is_better,
        metric=found.metric,
        reason=reason,
        challenger=found.first,
        champion=found.second,
        difference=found.gain,
        low=found.low,
        high=found.high,
        days=found.days,
        rows=found.rows,
    )


def _undecided(found: Comparison, alike: str) -> GateDecision:
    """The champion stays where the metric says nothing of days on which all came out alike."""
    return GateDecision(
        promoted=False,
        metric=found.metric,
        reason=(
            f"nothing can be told by {found.metric}, since {alike}: the champion stays. {BOTH_NEEDED}, "
            "or judge by metric='brier', which tells models apart on such days too"
        ),
        days=found.days,
        rows=found.rows,
    )


def _alike(rows: "TrainingSet") -> str:
    """That every decision had the same outcome, in words; empty where they differ."""
    if rows.share not in (0, 1):
        return ""
    is_true, days = bool(rows.share), _days(rows).unique().sort().dt.to_string("iso")
    return (
        f"'{rows.label}' is {'true' if is_true else 'false'} in all {rows.count:,} rows that judge it, "
        f"{days[0]} to {days[-1]}"
    )


def _days(rows: "TrainingSet") -> "pl.Series":
    return rows.frame[rows.at].dt.date()
