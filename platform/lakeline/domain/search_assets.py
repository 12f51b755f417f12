"""The decorator for searches: an asset that looks for better settings of a model, and challenges its champion with them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.domain.chosen import is_searchable
from lakeline.domain.conventions import duration, make_asset
from lakeline.domain.core import Decorator, DomainCore
from lakeline.domain.declared import name_of
from lakeline.domain.factory import Function
from lakeline.domain.node import Node, node_of
from lakeline.errors import DomainError
from lakeline.models.metrics import metric_named

if TYPE_CHECKING:
    from lakeline.models.space import Search, Space


class NotSearchableError(DomainError):
    """A search of a model whose function takes no settings."""

    def __init__(self, search: str, model: str) -> None:
        super().__init__(
            f"'{search}' searches '{model}', whose function takes no settings. Give it a third argument: "
            "def model(train: Rows, seed: int, params: Mapping[str, object]) -> TrainedModel"
        )


class SearchLimitsError(DomainError):
    """The limits of a search leave nothing to search."""

    def __init__(self, search: str, what: str, given: object, wanted: str) -> None:
        super().__init__(f"'{search}' has {what}={given!r}. Give {wanted}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchPlan:
    """What a search asset declares.

    Attributes:
        model: The model whose settings are searched.
        search: What is searched, and for how long.
        folds: Inner splits that judge each trial.
        fold_days: Days of each.
    """

    model: Node
    search: "Search"
    folds: int
    fold_days: int


class SearchAssets(DomainCore):
    """Searches of a domain."""

    def search(  # noqa: PLR0913 - the vocabulary of a declaration, all by keyword
        self,
        *,
        model: dg.AssetsDefinition,
        space: "Space",
        trials: int = 30,
        budget: str = "30m",
        folds: int = 3,
        fold_days: int = 7,
        metric: str | None = None,
        seed: int = 0,
        prune: bool = False,
        kinds: Sequence[str] = ("optuna", "mlflow"),
        **settings: Any,
    ) -> Decorator:
        """A search for better settings of a model, whose best trial is trained again and challenges the champion.

        The function says in its docstring what the search is for, takes nothing and is never called. Trials are judged on
        the days before those that judge the challenger, so that being the best of many promotes nothing. It is run by
        people unless ``automation="auto"``, which searches anew whenever the training set has changed.

        Args:
            model: The model asset; its function takes ``params`` beside ``train`` and ``seed``.
            space: For each setting ``("log", low, high)``, ``("float", low, high)``, ``("int", low, high)``,
                ``("logint", low, high)`` or ``("choice", one, other, …)``.
            trials: How many, at most.
            budget: How long, such as ``30m``, over all its runs; the trial under way is ended first.
            folds: Rolling windows that judge each trial.
            fold_days: Days of each.
            metric: What is compared; left out, what the model's gate compares.
            seed: Of the settings and of the trials' trainings.
            prune: Whether a trial ends early that is behind the median of the others.
            kinds: Badges.
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.
        """
        from lakeline.models.space import Search, dimensions

        searched = node_of(model)

        def declare(function: Function) -> dg.AssetsDefinition:
            name = f"{self.name}/{name_of(function)}"
            _require(name, searched, trials=trials, folds=folds, fold_days=fold_days)
            search = Search(
                name=name,
                dimensions=dimensions(name, space),
                trials=trials,
                seconds=duration(budget).total_seconds(),
                metric=metric_named(metric or searched.extras["gate"].metric).name,
                seed=seed,
                is_pruning=prune,
            )
            plan = SearchPlan(model=searched, search=search, folds=folds, fold_days=fold_days)
            return self._add_search(function, plan, kinds, {"automation": "manual", **settings})

        return declare

    def _add_search(
        self, function: Function, plan: SearchPlan, kinds: Sequence[str], settings: dict[str, Any]
    ) -> dg.AssetsDefinition:
        """The asset of a search."""
        node = self._nodes.of_function(
            function,
            layer="models",
            reads=plan.model.reads,
            daily=False,
            given=(),
            more=lambda: (plan.search, plan.folds, plan.fold_days, plan.model.code_version),
        )
        node.extras["search"] = plan

        def run(context: dg.AssetExecutionContext) -> Iterator[Any]:
            from lakeline.domain.searching import build_search

            yield from build_search(context, node)

        asset = make_asset(node, self._settings(node.asset, kinds, (), settings), run)
        self.assets.append(asset)
        return asset


def _require(search: str, model: Node, **limits: int) -> None:
    if "learning" not in model.extras:
        raise DomainError(f"'{search}' searches '{model.asset}', which is no model.")
    if not is_searchable(model):
        raise NotSearchableError(search, model.asset)
    for name, value in limits.items():
        if value < 1:
            raise SearchLimitsError(search, name, value, "a number above 0")
