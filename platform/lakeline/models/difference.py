"""Two model versions side by side: data, code, parameters, metrics and importance of features."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.models.booster import BoosterModel, native_booster
from lakeline.models.capsule import Capsule
from lakeline.models.training import TrainedModel

if TYPE_CHECKING:
    from lakeline.models.registry import Registry
    from lakeline.models.version_files import RegisteredVersion

NONE = "-"


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One of the two.

    Attributes:
        version: As the registry has it.
        model: What was trained.
        capsule: How.
        metrics: What it was registered with.
    """

    version: "RegisteredVersion"
    model: TrainedModel
    capsule: Capsule
    metrics: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One thing of both versions, in words.

    Attributes:
        part: data, code, parameters, metrics or importance.
        name: What it is.
        first, second: What each has.
    """

    part: str
    name: str
    first: str
    second: str

    @property
    def is_same(self) -> bool:
        """Whether both have the same."""
        return self.first == self.second


def side_of(registry: "Registry", name: str, number: int) -> Side:
    """Everything about a version.

    Raises:
        UnknownModelError: There is no such version.
        CorruptModelError: Its files are gone or others.
        NoCapsuleError, TamperedCapsuleError: Its capsule is.
    """
    version = registry.version(name, number)
    return Side(
        version=version,
        capsule=registry.capsule(name, number),
        model=registry.load(name, number),
        metrics=registry.metrics(version),
    )


def side_by_side(first: Side, second: Side) -> list[Line]:
    """Everything that can be compared, part by part."""
    parts = {
        "data": (_data(first), _data(second)),
        "code": (_code(first), _code(second)),
        "parameters": (_params(first), _params(second)),
        "metrics": (_metrics(first), _metrics(second)),
        "importance": (importance(first.model), importance(second.model)),
    }
    return [line for part, sides in parts.items() for line in _lines(part, *sides)]


def importance(model: TrainedModel) -> dict[str, str]:
    """Share of the gain of all splits that each feature brought, the largest first; nothing for a model without splits."""
    if not isinstance(model, BoosterModel):
        return {}
    gains = native_booster(model.payload).feature_importance("gain")
    total = float(gains.sum()) or 1.0
    pairs = sorted(zip(model.features, gains, strict=True), key=lambda one: -one[1])
    return {name: f"{gain / total:.1%}" for name, gain in pairs}


def _lines(part: str, first: Mapping[str, str], second: Mapping[str, str]) -> Iterator[Line]:
    for name in {**first, **second}:
        yield Line(part=part, name=name, first=first.get(name, NONE), second=second.get(name, NONE))


def _data(side: Side) -> dict[str, str]:
    data = side.capsule.data
    return {
        "training set": data.table,
        "snapshot": str(data.snapshot_id),
        "learned from": f"{data.read_from:%Y-%m-%d}",
        "learned until": f"{data.learned_until:%Y-%m-%d}",
        "judged on": f"{data.judged_from:%Y-%m-%d} to {data.judged_until:%Y-%m-%d}",
        "rows": f"{data.rows:,}",
        "content": data.content[:12],
    }


def _code(side: Side) -> dict[str, str]:
    facts = side.capsule.environment.facts()
    return {"code version": side.capsule.code_version, **facts}


def _params(side: Side) -> dict[str, str]:
    capsule = side.capsule
    told = {name: str(value) for name, value in sorted(capsule.params.items())}
    return {"seed": str(capsule.seed), "features": ", ".join(capsule.learning.features), **told}


def _metrics(side: Side) -> dict[str, str]:
    return {name: f"{value:.6g}" for name, value in sorted(side.metrics.items())}
