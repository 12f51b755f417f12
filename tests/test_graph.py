"""The asset graph as it stands, so that a change of lineage is seen in review: python -m tests.test_graph takes it anew."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import definitions
from lakeline.domain.node import nodes

SNAPSHOT = Path(__file__).parent / "graph.txt"


def graph() -> str:
    """The graph as text, an asset a paragraph."""
    assets = definitions.defs().resolve_asset_graph()
    keys = sorted(assets.get_all_asset_keys(), key=lambda key: key.to_user_string())
    return "\n".join("\n".join(_lines(assets.get(key))) + "\n" for key in keys)


def _lines(node) -> Iterator[str]:
    yield node.key.to_user_string()
    for parent in sorted(node.parent_keys, key=lambda key: key.path):
        yield f"    from {parent.to_user_string()}{_span(node, parent)}"
    yield f"    group {node.group_name}, owner {', '.join(node.owners)}, kinds {', '.join(sorted(node.kinds))}"
    for check in sorted(node.check_keys, key=lambda key: key.name):
        yield f"    check {check.name}"
    yield f"    {_partitions(node.partitions_def)}, {_promise(node.freshness_policy)}"


def _span(node, parent) -> str:
    spans = {read.asset.key: read.span for read in nodes()[node.key.to_user_string()].reads}
    if spans.get(parent):
        return f", {spans[parent]}"
    mapping = node.partition_mappings.get(parent)
    return ", all days" if isinstance(mapping, dg.AllPartitionMapping) else ""


def _partitions(partitions) -> str:
    if partitions is None:
        return "one partition"
    keys = partitions.get_partition_keys()
    return f"{len(keys)} days {keys[0]} to {keys[-1]}"


def _promise(policy) -> str:
    if policy is None:
        return "no promise"
    return f"fresh within {policy.fail_window.to_timedelta().total_seconds() / 3600:.0f} h"


def test_the_graph_is_as_reviewed() -> None:
    assert graph() == SNAPSHOT.read_text(), "to take the graph as it is: python -m tests.test_graph"


def test_the_job_of_a_domain_leaves_out_what_is_left_to_people() -> None:
    """A person who builds everything from the UI needs no more packages than the demo."""
    jobs = {job.name: job for job in definitions.defs().resolve_all_job_defs()}
    built = {
        key.to_user_string() for key in jobs["flights_everything"].asset_layer.executable_asset_keys
    }
    left = {name for name in nodes() if name.startswith("flights/")} - built
    assert left == {"flights/delay_mlp"}


def test_every_check_says_what_it_looks_for() -> None:
    checks = definitions.defs().resolve_asset_graph().asset_check_keys
    specs = {
        spec.key: spec.description
        for asset in definitions.defs().assets or ()
        if isinstance(asset, dg.AssetsDefinition)
        for spec in asset.check_specs
    }
    assert len(specs) < len(checks)  # those of promises are made beside the assets
    assert [key for key, text in specs.items() if not text] == []


def test_dagster_serves_the_whole_code_location() -> None:
    dg.Definitions.validate_loadable(definitions.defs())


def test_every_asset_belongs_to_one_of_five_layers() -> None:
    groups = {
        f"{node.domain}_{node.layer}" for node in nodes().values() if node.domain == "flights"
    }
    assert groups == {
        f"flights_{one}" for one in ("raw", "clean", "features", "models", "monitoring")
    }


@pytest.mark.parametrize(
    "name", ["departures", "departures_clean", "origin_backlog", "delay_lightgbm", "performance"]
)
def test_every_asset_has_a_page(name: str) -> None:
    spec = next(
        spec
        for asset in definitions.defs().assets or ()
        for spec in asset.specs  # type: ignore[union-attr]
        if spec.key.path[-1] == name
    )
    assert spec.description
    assert spec.description.endswith(".")
    assert spec.metadata["dagster/code_references"]


if __name__ == "__main__":
    SNAPSHOT.write_text(graph())
