"""`lakeline promote` and `lakeline rollback`, as a person types them."""

import getpass
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner, Result

from lakeline.cli import main
from lakeline.instance import open_instance
from lakeline.models.registry import Registry
from tests.learning import TABLE, Mill, World

PROJECT = """
[tool.dg.project]
code_location_target_module = "{module}"
"""

DEFINITIONS = """
from pathlib import Path

import dagster as dg

from lakeline.deployment import Deployment
from tests.learning import World, mill
from tests.shop import lakehouse

HERE = Path(__file__).parent
defs = dg.Definitions(
    assets=mill(World()).assets,
    resources={{"lakehouse": lakehouse(HERE), "deployment": Deployment({deployment})}},
)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose model has a champion, version 1, and a challenger that was refused, version 2."""
    found = tmp_path_factory.mktemp("project")
    empty = tmp_path_factory.mktemp("empty")
    Registry(folder=empty).versions(TABLE)
    made = Mill.at(found, World(), empty / "registry.db")
    made.measure("2024-03-01", "2024-03-30")
    assert made.train().success
    made.measure("2024-03-31", "2024-04-20")
    assert made.train().success
    module = f"mill_{found.name.replace('-', '_')}"
    (found / "pyproject.toml").write_text(PROJECT.format(module=module))
    (found / f"{module}.py").write_text(DEFINITIONS.format(deployment=_deployment(found)))
    return found


def _deployment(folder: Path) -> str:
    from lakeline.deployment import Deployment

    needed = [name for name, one in Deployment.model_fields.items() if one.is_required()]
    values = {"state": str(folder), "dagster_home": str(folder / "dagster")}
    return ", ".join(f"{name}={values.get(name, '')!r}" for name in needed)


def shown(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--project", str(folder), *arguments])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("promote", "breaks", "2"), "Missing option '--because'"),
        (("promote", "breaks", "2", "--because", " "), "Say why in --because"),
        (("promote", "breaks", "9", "--because", "x"), "no model 'mill.breaks' at '9'. It has version 1, version 2"),
        (("promote", "samples", "1", "--because", "x"), "'mill/samples' is no model. The models are mill/breaks"),
        (("promote", "breakz", "1", "--because", "x"), "There is no asset 'breakz'. Did you mean breaks or mill/breaks?"),
        (("promote", "breaks", "one", "--because", "x"), "'one' is not a valid integer"),
        (("rollback", "breaks", "--because", "x"), "has nothing to roll back to. Version 1 is its first champion"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_clear_line(folder, arguments, told):
    done = shown(folder, *arguments)
    assert done.exit_code
    assert told in " ".join(done.output.split())


def test_a_person_promotes_and_goes_back_and_everybody_can_see_who_and_why(folder):
    done = shown(folder, "promote", "mill/breaks", "2", "--because", "it knows April", "--by", "anna")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "mill/breaks is served by version 2 now, instead of version 1" in done.output
    registry = Registry(folder=folder / "models")
    champion = registry.champion(TABLE)
    assert champion is not None
    assert (champion.version, champion.tags["lakeline.promoted_by"]) == (2, "anna")

    again = shown(folder, "promote", "breaks", "2", "--because", "it knows April")
    assert "served by version 2 already" in again.output

    back = shown(folder, "rollback", "breaks", "--because", "it does not know May")
    assert back.exit_code == 0, back.output
    assert "is served by version 1 now, instead of version 2" in back.output
    assert registry.version(TABLE, 1).tags["lakeline.promoted_by"] == getpass.getuser()
    with open_instance(folder / "dagster") as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey(["mill", "breaks"]))
        assert event is not None
        assert event.asset_materialization is not None
        told = {name: one.value for name, one in event.asset_materialization.metadata.items()}
    assert (told["champion"], told["because"]) == (1, "it does not know May")
