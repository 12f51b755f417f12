"""A domain: functions in, ordinary Dagster assets out, with every convention set from a few arguments."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from lakeline.contract import ContractSpec, resolve
from lakeline.dbt.asset import blocking_names, check_names, model_function
from lakeline.domain.build import build_table
from lakeline.domain.code_version import fingerprint
from lakeline.domain.conventions import Settings, duration, make_asset
from lakeline.domain.declared import refuse_reads, refuse_table, require_times
from lakeline.domain.factory import Function, NodeFactory, promise, spans
from lakeline.domain.health import health_asset
from lakeline.domain.node import Node
from lakeline.domain.reads import Dependency, as_read
from lakeline.domain.reporting import build_report
from lakeline.domain.retraining import Trigger, gate_rules, policy_of
from lakeline.domain.training import TrainingConfig, build_model
from lakeline.errors import DomainError
from lakeline.models.trial import Learning

Decorator = Callable[[Function], dg.AssetsDefinition]
Empty = Literal["fail", "warn", "allow"]
Automation = Literal["auto", "manual"]

SETTINGS = ("automation", "deps", "fresh", "owner", "rebuilds_on_code", "retries", "tags")
"""Arguments that every decorator takes."""

MODEL_CHECKS = ("beats_baselines", "gate")


class UnknownArgumentError(DomainError):
    """A decorator is given an argument that it does not have."""

    def __init__(self, asset: str, argument: str) -> None:
        close = difflib.get_close_matches(argument, SETTINGS, n=1)
        hint = (
            f"Did you mean {close[0]}?"
            if close
            else f"Beside its own it takes {', '.join(SETTINGS)}."
        )
        super().__init__(
            f"'{asset}' is declared with {argument}=, which its decorator does not have. {hint}"
        )


@dataclass(frozen=True, slots=True)
class Daily:
    """One partition a UTC day, from ``start`` (included) to ``until`` (excluded), both ``YYYY-MM-DD``."""

    start: str
    until: str | None = None

    def definition(self) -> dg.DailyPartitionsDefinition:
        """The partitions as Dagster takes them."""
        return dg.DailyPartitionsDefinition(self.start, end_date=self.until)


@dataclass(frozen=True)
class Domain:
    """A team's data products.

    Every decorator returns an ordinary `dagster.AssetsDefinition`: key ``[domain, name]``, group ``<domain>_<layer>``,
    the function's docstring as description. The function is given the window of the run (daily assets), then one
    handle for each of ``reads`` in that order, then its source.

    Attributes:
        name: First part of every key, and the namespace in the lake.
        owner: ``team:name`` or an e-mail address.
        partitions: Of its daily assets.
        automation: ``auto`` keeps its assets consistent by itself, ``manual`` leaves building to people; an asset may
            say otherwise.
    """

    name: str
    owner: str
    partitions: Daily
    automation: Automation = "auto"
    assets: list[dg.AssetsDefinition] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", self.name):
            raise DomainError(
                f"'{self.name}' cannot name a domain. Use lower-case letters, digits and _, a letter first."
            )

    def table(
        self,
        *,
        contract: ContractSpec,
        layer: str | None = None,
        reads: Sequence[Dependency] = (),
        source: type | None = None,
        daily: bool = True,
        empty: Empty | None = None,
        kinds: Sequence[str] = ("iceberg", "polars"),
        checks: Sequence[str] = (),
        **settings: Any,
    ) -> Decorator:
        """A table of the lake, made from a source or from other tables.

        Args:
            contract: Columns that it promises.
            layer: Stage in the graph; left out, ``raw`` with a source and ``clean`` without.
            reads: What the function reads, as assets, ``past(asset, days=…)`` or ``latest(asset, days=…)``.
            source: A resource class; the function's last parameter names the resource.
            daily: Whether it has a partition a day or one for all.
            empty: Whether a day without rows fails, warns or is allowed; with a source it fails unless said otherwise.
            checks: Names of checks that the function returns itself, in ``Rows(checks=…)``.
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.
        """

        def declare(function: Function) -> dg.AssetsDefinition:
            node = self._nodes.of_table(
                function,
                contract=resolve(contract),
                layer=layer or ("raw" if source else "clean"),
                reads=reads,
                source=source,
                daily=daily,
                empty=empty or ("fail" if source else "allow"),
                checks=tuple(checks),
                deps=settings.get("deps", ()),
            )
            return self._add_table(node, kinds, settings)

        return declare

    def dbt_model(
        self,
        name: str,
        *,
        contract: ContractSpec,
        project: Path,
        reads: Sequence[Dependency],
        daily: bool = True,
        layer: str = "clean",
        **settings: Any,
    ) -> dg.AssetsDefinition:
        """A dbt model whose rows are audited and published like those of a function; its tests are asset checks.

        Args:
            name: Of the model and of the asset.
            contract: Columns that it promises.
            project: Folder of the dbt project.
            reads: Sources and models that its SQL and tests read; checked against dbt's manifest.
            daily: Whether it has a partition a day or one for all.
            layer: Stage in the graph.
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.

        Raises:
            ManifestMissingError: dbt's manifest is missing or older than the project.
            ParentsError: ``reads`` are not what dbt says.
        """
        declared = tuple(as_read(one) for one in reads)
        columns = resolve(contract)
        refuse_reads(f"{self.name}/{name}", declared, is_daily=daily)
        refuse_table(f"{self.name}/{name}", columns, is_daily=daily)
        model, run = model_function(project, name, declared, daily=daily)
        node = Node(
            domain=self.name,
            name=name,
            layer=layer,
            daily=daily,
            function=run,
            code_version=fingerprint(model.checksum, spans(declared), *promise(columns)),
            contract=columns,
            reads=declared,
            first_partition=self.partitions.start if daily else None,
            until=self.partitions.until if daily else None,
            extras={
                "checks": check_names(model),
                "source_file": str(model.path),
                "project": project,
            },
        )
        settings["blocking"] = frozenset({"contract", *blocking_names(model)})
        return self._add_table(node, ("dbt", "duckdb", "iceberg"), settings)

    def feature_view(
        self,
        *,
        contract: ContractSpec,
        reads: Sequence[Dependency],
        entities: Sequence[str],
        ttl: str,
        kinds: Sequence[str] = ("iceberg", "polars"),
        **settings: Any,
    ) -> Decorator:
        """A daily table of features: entity, event time, knowledge time and values.

        Args:
            contract: Its columns; must have an event time and a knowledge time.
            reads: As for `table`.
            entities: Key columns whose values the features describe.
            ttl: How long a value may be used, such as ``6h``.
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.
        """

        def declare(function: Function) -> dg.AssetsDefinition:
            columns = resolve(contract)
            require_times(function, columns, entities)
            node = self._nodes.of_table(
                function,
                contract=columns,
                layer="features",
                reads=reads,
                entities=tuple(entities),
                ttl_s=duration(ttl).total_seconds(),
                deps=settings.get("deps", ()),
            )
            return self._add_table(node, kinds, settings)

        return declare

    def predictions(
        self,
        *,
        contract: ContractSpec,
        model: dg.AssetsDefinition,
        reads: Sequence[Dependency],
        **settings: Any,
    ) -> Decorator:
        """A daily table of a model's scores; the function is given the champion after the window.

        Args:
            contract: Its columns.
            model: The model asset.
            reads: As for `table`.
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.
        """

        def declare(function: Function) -> dg.AssetsDefinition:
            node = self._nodes.of_table(
                function,
                contract=resolve(contract),
                layer="models",
                reads=[model, *reads],
                deps=settings.get("deps", ()),
            )
            return self._add_table(node, ("iceberg", "lightgbm"), settings)

        return declare

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
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.
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

        def declare(function: Function) -> dg.AssetsDefinition:
            node = self._nodes.of_function(
                function,
                layer="models",
                reads=[training_set],
                daily=False,
                given=("train", "seed"),
                more=(learning,),
                deps=settings.get("deps", ()),
            )
            node.extras["learning"] = learning
            rules = gate_rules(node.asset, metric=metric, holdout=holdout)
            node.extras["gate"] = rules
            node.extras["retrain"] = policy_of(
                self.name,
                node.asset,
                retrain_on=retrain_on,
                cooldown=cooldown,
                at_most=at_most,
                gate=rules,
            )
            asset = make_model_asset(
                node, self._settings(node.asset, kinds, MODEL_CHECKS, settings)
            )
            self.assets.append(asset)
            return asset

        return declare

    def report(
        self,
        *,
        reads: Sequence[Dependency],
        checks: Sequence[str] = (),
        needs: int = 0,
        kinds: Sequence[str] = ("evidently",),
        **settings: Any,
    ) -> Decorator:
        """A page for people with the numbers behind it.

        Args:
            reads: What it compares.
            checks: Names of checks that the function returns in its ``Report``.
            needs: Partitions of what it reads that must exist before it is built by itself for the first time.
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.
        """

        def declare(function: Function) -> dg.AssetsDefinition:
            deps = settings.get("deps", ())
            node = self._nodes.of_function(
                function, layer="monitoring", reads=reads, daily=False, deps=deps
            )
            node.extras.update(checks=tuple(checks), needs=needs)
            run = lambda context: build_report(context, node)  # noqa: E731 - binds the node
            asset = make_asset(
                node, self._settings(node.asset, kinds, tuple(checks), settings), run
            )
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

    @property
    def _nodes(self) -> NodeFactory:
        return NodeFactory(
            domain=self.name, first_partition=self.partitions.start, until=self.partitions.until
        )

    def _add_table(
        self, node: Node, kinds: Sequence[str], settings: dict[str, Any]
    ) -> dg.AssetsDefinition:
        checks = ("contract", *(("reads",) if node.reads else ()), *node.extras["checks"])
        resources = [node.extras["source_key"]] if node.source else []
        run = lambda context: build_table(context, node)  # noqa: E731 - binds the node
        asset = make_asset(
            node, self._settings(node.asset, kinds, checks, settings), run, resources=resources
        )
        self.assets.append(asset)
        return asset

    def _settings(
        self, asset: str, kinds: Sequence[str], checks: tuple[str, ...], given: dict[str, Any]
    ) -> Settings:
        given = dict(given)
        tags = tuple(sorted(given.pop("tags", {}).items()))
        for unknown in sorted(set(given) - {*SETTINGS, "blocking"}):
            raise UnknownArgumentError(asset, unknown)
        owner = given.pop("owner", self.owner)
        given.setdefault("automation", self.automation)
        given["deps"] = tuple(given.get("deps", ()))
        return Settings(
            owner=owner,
            kinds=frozenset(kinds),
            partitions=self.partitions.definition(),
            checks=checks,
            tags=tags,
            **given,
        )


def make_model_asset(node: Node, settings: Settings) -> dg.AssetsDefinition:
    """The asset of a model, which a person may configure at launch."""
    return make_asset(
        node,
        settings,
        lambda context: build_model(context, node, TrainingConfig(**context.op_config)),
        config=TrainingConfig,
    )
