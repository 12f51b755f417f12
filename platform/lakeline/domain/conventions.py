"""Every Dagster convention in one place: how a node of a domain becomes an asset of the graph."""

import datetime as dt
import functools
import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from lakeline.compute.declaration import Compute
from lakeline.compute.pools import pool_of
from lakeline.contract.dagster import column_schema
from lakeline.domain.cancelling import ended_by_interrupts
from lakeline.domain.code_version import Reading
from lakeline.domain.node import Node, nodes_of, register
from lakeline.errors import DomainError
from lakeline.freshness.promise import length_of_time, parse_promise, require_reachable
from lakeline.freshness.rhythm import rhythm_of

RunFunction = Callable[[dg.AssetExecutionContext], Iterator[Any]]
"""Runs an asset: yields check results and one materialization."""

LAKEHOUSE = "lakehouse"
AUTOMATION = ("auto", "manual")
LAYERS = ("raw", "clean", "features", "models", "monitoring")
_SIGNATURE = inspect.Signature(
    [
        inspect.Parameter(
            "context",
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            annotation=dg.AssetExecutionContext,
        )
    ]
)
"""Of every asset's body: Dagster asks for it a dozen times an asset, and Python works it out each time."""


CHECKS = {
    "contract": "Every rule of the contract holds for all rows of the run; what became of rows that break one is told.",
    "reads": "What is declared was read, and nothing else.",
    "future": "No feature has a value that was known only after its row's decision.",
    "leakage": "No feature tells the label by itself, as one does that was made from it.",
    "beats_baselines": "On days after its training the model is better than the share and than the schedule alone.",
    "gate": "Whether the version that was trained serves: it does if it is better on days that neither has seen.",
    "parity": "What was served online is what training would have seen.",
}
"""What the checks look for that lakeline makes itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What a decorator's few arguments say about one asset.

    Attributes:
        fresh: The promise, such as ``36h`` or ``by 07:00 Europe/Berlin daily``; None promises nothing.
        automation: ``auto`` or ``manual``: whether lakeline builds it by itself.
        rebuilds_on_code: Whether what other code built is built again by itself.
        kinds: Badges in the UI, at most three are shown.
        checks: Names of checks that the function reports itself, and whether a failure blocks.
        check_texts: What checks of the asset's own look for, by name.
        deps: Plain Dagster assets that must be built before.
        retries: Times a step is tried again after an error that trying again may mend.
        compute: What its builds may use; None builds it in the process of the run.
    """

    owner: str
    kinds: frozenset[str]
    partitions: dg.PartitionsDefinition[str] | None
    fresh: str | None = None
    automation: str = "auto"
    rebuilds_on_code: bool = True
    checks: tuple[str, ...] = ()
    check_texts: tuple[tuple[str, str], ...] = ()
    blocking: frozenset[str] = frozenset({"contract"})
    deps: tuple[dg.AssetsDefinition | dg.AssetSpec, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    retries: int = 1
    metadata: tuple[tuple[str, Any], ...] = ()
    compute: Compute | None = None


def duration(text: str) -> dt.timedelta:
    """A length of time from ``90m``, ``36h`` or ``30d``.

    Raises:
        DomainError: The text is none.

    >>> duration("36h")
    datetime.timedelta(days=1, seconds=43200)
    """
    length = length_of_time(text)
    if length is None:
        raise DomainError(
            f"'{text}' is not a length of time. Write a number and m, h or d, such as 90m, 36h or 30d."
        )
    return length


def make_asset(
    node: Node,
    settings: Settings,
    run: RunFunction,
    *,
    resources: Iterable[str] = (),
    config: type[dg.Config] | None = None,
) -> dg.AssetsDefinition:
    """The ordinary Dagster asset of a node, registered so that other assets can read it."""
    if settings.automation not in AUTOMATION:
        raise DomainError(
            f"'{node.asset}' has automation='{settings.automation}'. Use {' or '.join(AUTOMATION)}."
        )
    node.extras.update(
        compute=settings.compute,
        run=run,
        config=config,
        resources=frozenset({LAKEHOUSE, *resources}),
        owner=settings.owner,
        promise=settings.fresh,
        automation=settings.automation,
        deps=settings.deps,
        rebuilds_on_code=settings.rebuilds_on_code,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        asset: dg.AssetsDefinition = dg.asset(**_shown(node, settings), **_run_as(node, settings))(_body(node))  # fmt: skip
    register(asset, node)
    return asset


def with_code_version(asset: dg.AssetsDefinition, reading: Reading) -> dg.AssetsDefinition:
    """The asset with the code version of its node, if it has a node.

    Args:
        asset: As it was declared.
        reading: What was read for others already.
    """
    nodes = nodes_of([asset])
    if not nodes or asset.get_asset_spec().code_version is not None:
        return asset
    digits = next(iter(nodes.values())).code.digits(reading)
    return asset.map_asset_specs(lambda spec: spec.replace_attributes(code_version=digits))


def _body(node: Node) -> Callable[..., Any]:
    # Without a return annotation: Dagster would read an iterator's as an output type.
    def body(context: dg.AssetExecutionContext):  # type: ignore[no-untyped-def]
        from lakeline.domain.placing import placed

        with ended_by_interrupts(node.asset):
            yield from placed(context, node, node.extras["run"])

    body.__name__ = node.name
    body.__signature__ = _SIGNATURE  # type: ignore[attr-defined]
    return body


def _shown(node: Node, settings: Settings) -> dict[str, Any]:
    """What people see of it, and where it stands in the graph."""
    return {
        "key": [node.domain, node.name],
        "description": inspect.getdoc(node.function),
        "group_name": f"{node.domain}_{node.layer}",
        "kinds": set(settings.kinds),
        "owners": [settings.owner],
        "tags": {"domain": node.domain, "layer": node.layer, **dict(settings.tags)},
        "metadata": _metadata(node) | dict(settings.metadata),
        "deps": [*(read.dep(reader_is_daily=node.daily) for read in node.reads), *settings.deps],
        "check_specs": _check_specs(node, settings),
        "freshness_policy": _freshness(node, settings.fresh),
    }


def _run_as(node: Node, settings: Settings) -> dict[str, Any]:
    """How it is run: over which partitions, with what, how often again, how many at once."""
    config = node.extras["config"]
    return {
        "partitions_def": settings.partitions if node.daily else None,
        "backfill_policy": dg.BackfillPolicy.single_run() if node.daily else None,
        "retry_policy": dg.RetryPolicy(max_retries=settings.retries) if settings.retries else None,
        # Rows go to the lake, not through an IO manager.
        "dagster_type": dagster_nothing(),
        "required_resource_keys": set(node.extras["resources"]),
        "pool": pool_of(node.asset, settings.compute),
        "config_schema": _fields_of(config) if config is not None else None,
    }


@functools.cache
def _fields_of(config: type[dg.Config]) -> dict[str, Any]:
    return {**config.to_fields_dict()}


def dagster_nothing() -> Any:
    """Dagster's type of an output without a value, which its own annotations leave out."""
    return dg.Nothing


def _check_specs(node: Node, settings: Settings) -> Sequence[dg.AssetCheckSpec]:
    key, texts = dg.AssetKey([node.domain, node.name]), dict(settings.check_texts)
    return [
        dg.AssetCheckSpec(
            name,
            asset=key,
            blocking=name in settings.blocking,
            description=texts.get(name) or CHECKS.get(name),
        )
        for name in settings.checks
    ]


def _freshness(node: Node, fresh: str | None) -> dg.FreshnessPolicy | None:
    """Dagster's policy of a promise that the node's source lets it keep."""
    if fresh is None:
        return None
    promise = parse_promise(fresh, asset=node.asset)
    if rhythm := rhythm_of(node.asset, node.source):
        require_reachable(node.asset, promise, *rhythm)
    return promise.policy()


def _metadata(node: Node) -> dict[str, Any]:
    found: dict[str, Any] = {"dagster/code_references": _code_references(node)}
    if node.contract is not None:
        found["dagster/column_schema"] = column_schema(node.contract)
        found["dagster/table_name"] = node.table
        found["lakeline/contract_version"] = node.contract.version
    if spans := [f"{read.node.asset}: {read.span}" for read in node.reads if read.span]:
        found["lakeline/reads"] = "; ".join(spans)
    if node.entities:
        found["lakeline/entities"] = ", ".join(node.entities)
    if node.extras["compute"] is not None:
        found["lakeline/compute"] = str(node.extras["compute"])
    if node.ttl_s is not None:
        found["lakeline/ttl_h"] = node.ttl_s / 3600
    return found


def _code_references(node: Node) -> dg.CodeReferencesMetadataValue:
    function = inspect.unwrap(node.function)
    path = node.extras.get("source_file") or inspect.getsourcefile(function)
    line = 1 if "source_file" in node.extras else function.__code__.co_firstlineno
    reference = dg.LocalFileCodeReference(file_path=str(path), line_number=line, label=node.name)
    return dg.CodeReferencesMetadataValue(code_references=[reference])
