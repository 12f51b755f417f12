"""The decorators for models and for what watches them: reports, and the page of the domain's health."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import dagster as dg

from lakeline.domain.chosen import arguments_of
from lakeline.domain.conventions import Settings, make_asset
from lakeline.domain.core import Checks, Decorator, DomainCore, texts_of
from lakeline.domain.factory import Function
from lakeline.domain.health import health_asset
from lakeline.domain.node import Node
from lakeline.domain.reads import Dependency
from lakeline.domain.retraining import Trigger, gate_rules, policy_of
from lakeline.domain.training_config import TrainingConfig
from lakeline.models.evaluation_plan import EvaluationPlan, require_slices
from lakeline.models.learning import Learning, require_learnable

if TYPE_CHECKING:
    from lakeline.models.thresholds import Costs

MODEL_CHECKS = ("beats_baselines", "gate")


class ModelAssets(DomainCore):
    """Models, reports and pages of a domain."""

    def model(  # noqa: PLR0913 - the vocabulary of a declaration, all by keyword
        self,
        *,
        training_set: Dependency,
        features: Sequence[str],
        label: str,
        at: str,
        known: str,
        categorical: Sequence[str] = (),
        schedule: Sequence[str] = (),
        retrain_on: Sequence[Trigger] = (),
        cooldown: str = "7d",
        at_most: tuple[int, str] = (3, "30d"),
        metric: str = "brier",
        holdout: str = "14d",
        refit: bool = True,
        slices: Sequence[str] = (),
        costs: "Costs | None" = None,
        limits: Sequence[str] = (),
        intended_use: str = "",
        evidently: bool = False,
        kinds: Sequence[str] = ("lightgbm", "mlflow"),
        **settings: Any,
    ) -> Decorator:
        """A model, trained on a table, judged on later days, and promoted only where it is better than the champion.

        Args:
            training_set: Table with one row a decision.
            features: Columns that the model reads, in its order.
            label: Column that it predicts; null while unknown.
            at: Column with the time of each decision.
            known: Column with the time when the label was known.
            categorical: Features whose values are names.
            schedule: Features of the baseline model to beat.
            retrain_on: Reports whose failed checks are a reason to train again, or pairs of a report and one check; a
                report that is declared later, because it reads this model's scores, by its name.
            cooldown: Least time between two trainings.
            at_most: Most trainings, and the period that they are counted in.
            metric: What the gate compares challenger and champion by: brier, log_loss, auc, average_precision or
                calibration_gap.
            holdout: Newest days that judge a challenger, which does not learn from them.
            refit: Whether a challenger that wins learns from those days too before it serves.
            slices: Columns of the training set by which trainings are measured apart, and ``month``, ``weekday`` or
                ``hour`` of the decision.
            costs: Of a false alarm and of a miss, which make one threshold the cheapest.
            limits: What the model cannot do, in sentences for its card.
            intended_use: What it is for, for its card; left out, the function's docstring.
            evidently: Whether each training writes Evidently's page too.
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.

        Raises:
            LearningError: The training set lacks a column, or the model would learn from its own label.
        """
        learning = Learning(
            features=tuple(features),
            label=label,
            at=at,
            known=known,
            categorical=tuple(categorical),
            schedule=tuple(schedule),
            refit=refit,
        )
        plan = EvaluationPlan(
            slices=tuple(slices),
            costs=costs,
            limits=tuple(limits),
            intended_use=intended_use,
            evidently=evidently,
        )
        policy = partial(
            policy_of, self.name, retrain_on=retrain_on, cooldown=cooldown, at_most=at_most
        )

        def declare(function: Function) -> dg.AssetsDefinition:
            node = self._model_node(function, training_set, learning)
            gate = gate_rules(node.asset, metric=metric, holdout=holdout)
            retrain = policy(model=node.asset, gate=gate)
            node.extras.update(learning=learning, gate=gate, evaluation=plan, retrain=retrain)
            require_learnable(node.asset, learning, node.reads[0].node.columns)
            require_slices(node.asset, plan, node.reads[0].node.columns)
            return self._add_model(node, self._settings(node.asset, kinds, MODEL_CHECKS, settings))

        return declare

    def _model_node(
        self,
        function: Function,
        training_set: Dependency,
        learning: Learning,
    ) -> Node:
        return self._nodes.of_function(
            function,
            layer="models",
            reads=[training_set],
            daily=False,
            given=arguments_of(function),
            more=lambda: (learning,),
        )

    def _add_model(self, node: Node, settings: Settings) -> dg.AssetsDefinition:
        """The asset of a model, which a person may configure at launch."""

        def run(context: dg.AssetExecutionContext) -> Iterator[Any]:
            from lakeline.domain.training import build_model

            config = TrainingConfig(**context.op_execution_context.op_config)
            yield from build_model(context, node, config)

        asset = make_asset(node, settings, run, config=TrainingConfig)
        self.assets.append(asset)
        return asset

    def report(
        self,
        *,
        reads: Sequence[Dependency],
        checks: Checks = (),
        needs: int = 0,
        kinds: Sequence[str] = ("evidently",),
        **settings: Any,
    ) -> Decorator:
        """A page for people with the numbers behind it.

        Args:
            reads: What it compares.
            checks: Names of checks that the function returns in its ``Report``; as a mapping, with what each looks for.
            needs: Partitions of what it reads that must exist before it is built by itself for the first time.
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.
        """

        def declare(function: Function) -> dg.AssetsDefinition:
            node = self._nodes.of_function(function, layer="monitoring", reads=reads, daily=False)
            node.extras.update(checks=tuple(checks), needs=needs)

            def run(context: dg.AssetExecutionContext) -> Iterator[Any]:
                from lakeline.domain.reporting import build_report

                yield from build_report(context, node)

            told = settings | texts_of(checks)
            asset = make_asset(node, self._settings(node.asset, kinds, tuple(checks), told), run)
            self.assets.append(asset)
            return asset

        return declare

    def health(
        self, *, owner: str | None = None, tags: Mapping[str, str] | None = None
    ) -> dg.AssetsDefinition:
        """The page that shows how the domain stands: what each asset reaches, promises and needs next.

        The sensor tells it anew when something changes; materializing it by hand does the same. It reads the resource
        ``clock``.

        Args:
            owner: Of the page; left out, the domain's.
            tags: More tags of the asset.
        """
        asset = health_asset(self.name, self.assets, owner=owner or self.owner, tags=tags or {})
        self.assets.append(asset)
        return asset
