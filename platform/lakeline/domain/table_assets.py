"""The decorators for tables: from functions, from dbt models, and of a model's scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from lakeline.contract import ContractSpec, resolve
from lakeline.contract.promise import promise
from lakeline.dbt.asset import blocking_names, check_names, check_texts, model_function
from lakeline.domain.code_version import CodeVersion
from lakeline.domain.core import Checks, Decorator, DomainCore, texts_of
from lakeline.domain.declared import refuse_reads, refuse_table
from lakeline.domain.factory import Function, spans
from lakeline.domain.features import Feature, Joined
from lakeline.domain.node import Node
from lakeline.domain.reads import Dependency, as_read

Empty = Literal["fail", "warn", "allow"]


class TableAssets(DomainCore):
    """Tables of a domain."""

    def table(  # noqa: PLR0913 - the vocabulary of a declaration, all by keyword
        self,
        *,
        contract: ContractSpec,
        layer: str | None = None,
        reads: Sequence[Dependency] = (),
        features: Sequence[Feature] = (),
        source: type | None = None,
        daily: bool = True,
        empty: Empty | None = None,
        kinds: Sequence[str] = ("iceberg", "polars"),
        checks: Checks = (),
        **settings: Any,
    ) -> Decorator:
        """A table of the lake, made from a source or from other tables.

        Args:
            contract: Columns that it promises.
            layer: Stage in the graph; left out, ``raw`` with a source and ``clean`` without.
            reads: What the function reads, as assets, ``past(asset, days=…)`` or ``latest(asset, days=…)``.
            features: Feature views, and on-demand views, whose values the function joins through one `Features` handle. A
                view of a daily table is read as far back as its time to live reaches, and a day more since decisions
                may lie before the event time, or as ``past(view, days=…)`` says; values of other days are null.
            source: A resource class; the function's last parameter names the resource.
            daily: Whether it has a partition a day or one for all.
            empty: Whether a day without rows fails, warns or is allowed; with a source it fails unless said otherwise.
            checks: Names of checks that the function returns itself, in ``Rows(checks=…)``; as a mapping, with what each
                looks for.
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.
        """

        def declare(function: Function) -> dg.AssetsDefinition:
            node = self._nodes.of_table(
                function,
                contract=resolve(contract),
                layer=layer or ("raw" if source else "clean"),
                reads=reads,
                features=features,
                source=source,
                daily=daily,
                empty=empty or ("fail" if source else "allow"),
                checks=tuple(checks),
            )
            return self._add_table(node, kinds, settings | texts_of(checks))

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
            code=CodeVersion(lambda: (model.checksum, spans(declared), *promise(columns))),
            contract=columns,
            reads=declared,
            first_partition=self.partitions.start if daily else None,
            until=self.partitions.until if daily else None,
            extras={
                "features": Joined(),
                "checks": check_names(model),
                "source_file": str(model.path),
                "project": project,
            },
        )
        settings["blocking"] = frozenset({"contract", *blocking_names(model)})
        settings["check_texts"] = check_texts(model)
        return self._add_table(node, ("dbt", "duckdb", "iceberg"), settings)

    def predictions(
        self,
        *,
        contract: ContractSpec,
        model: dg.AssetsDefinition,
        reads: Sequence[Dependency],
        features: Sequence[Feature] = (),
        **settings: Any,
    ) -> Decorator:
        """A daily table of a model's scores; the function is given the champion after the window.

        Args:
            contract: Its columns.
            model: The model asset.
            reads: As for `table`.
            features: As for `table`.
            settings: fresh, automation, owner, deps, tags, retries, rebuilds_on_code.
        """

        def declare(function: Function) -> dg.AssetsDefinition:
            node = self._nodes.of_table(
                function,
                contract=resolve(contract),
                layer="models",
                reads=[model, *reads],
                features=features,
            )
            return self._add_table(node, ("iceberg", "lightgbm"), settings)

        return declare
