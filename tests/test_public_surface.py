"""What users import, spelled out: a name that comes or goes is a decision."""

import importlib

import pytest

SURFACE = {
    "lakeline.compute": {"Compute"},
    "lakeline.contract": {
        "Action",
        "Column",
        "Contract",
        "ContractMeta",
        "ContractSpec",
        "Digits",
        "Duplicates",
        "Float32",
        "Int32",
        "LogicalType",
        "column",
        "resolve",
    },
    "lakeline.domain": {
        "Check",
        "Daily",
        "Domain",
        "Features",
        "Read",
        "Report",
        "Rows",
        "Table",
        "latest",
        "load_domain",
        "past",
    },
    "lakeline.lake": {"Lake"},
    "lakeline.ledger": {
        "ABSENT",
        "AssetSummary",
        "Attempt",
        "Build",
        "BuildRecord",
        "Changes",
        "Consumer",
        "Cost",
        "Current",
        "Input",
        "Ledger",
        "Mark",
        "Pair",
        "Reach",
        "Recovery",
        "SourceState",
        "State",
        "StateChange",
        "Used",
        "place",
        "recover",
    },
}
DECORATORS = {
    "dbt_model",
    "feature_view",
    "model",
    "on_demand_view",
    "predictions",
    "report",
    "search",
    "table",
    "training_set",
}
SETTINGS_OF_LAKEHOUSE = {
    "catalog_properties",
    "catalog_uri",
    "compute",
    "feature_registry",
    "features",
    "ledger_url",
    "locks",
    "models",
    "online_store",
    "pods",
    "registry_uri",
    "reports",
    "reports_url",
    "warehouse",
}
ERRORS = {
    "ComputeError",
    "ContractError",
    "DomainError",
    "LakeError",
    "LedgerError",
    "ModelError",
    "SettingsError",
    "SourceError",
}


@pytest.mark.parametrize("module", SURFACE)
def test_a_module_gives_these_names_and_no_more(module: str) -> None:
    found = importlib.import_module(module)
    assert set(found.__all__) == SURFACE[module]
    assert all(getattr(found, name) is not None for name in found.__all__)


def test_a_domain_has_these_decorators() -> None:
    from lakeline.domain import Domain

    fields = {"name", "owner", "partitions", "automation", "compute", "assets", "on_demand"}
    own = {name for name in dir(Domain) if not name.startswith("_")}
    assert own - fields == {*DECORATORS, "complete", "health", "routine"}


def test_the_lakehouse_is_configured_by_these() -> None:
    from lakeline.resource import Lakehouse

    assert set(Lakehouse.model_fields) == SETTINGS_OF_LAKEHOUSE


def test_every_error_belongs_to_one_family() -> None:
    from lakeline import errors

    assert {one.__name__ for one in errors.LakelineError.__subclasses__()} == ERRORS
