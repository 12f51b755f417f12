"""The docs say what is there: commands, settings, links, and the domain in the README."""

import ast
import datetime as dt
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import polars as pl
import pytest
from click.testing import CliRunner

from lakeline.cli import main
from lakeline.contract import Contract, column
from lakeline.publishing import Target, publish
from lakeline.resource import Lakehouse
from lakeline.window import Window
from resources import build_resources
from resources.settings import PREFIX, Settings
from tests.projects import a_project

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(group: click.Command, path: str = "lakeline") -> list[str]:
    if not isinstance(group, click.Group):
        return [path]
    own = [path] if group.invoke_without_command else []
    return own + [
        one
        for name, command in group.commands.items()
        for one in commands(command, f"{path} {name}")
    ]


@pytest.mark.parametrize("command", commands(main))
def test_every_command_is_documented(command):
    assert f"## `{command}" in (ROOT / "docs/cli.md").read_text()


def test_no_command_is_documented_that_is_not_there():
    documented = re.findall(
        r"^## `(lakeline[a-z -]*?)(?: [A-Z\[].*)?`", (ROOT / "docs/cli.md").read_text(), re.M
    )
    assert set(documented) == set(commands(main))


@pytest.mark.parametrize("command", commands(main))
def test_every_command_explains_itself(command):
    shown = CliRunner().invoke(main, [*command.split()[1:], "--help"])
    assert shown.exit_code == 0
    assert len(shown.output) > 100


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_documented(name):
    assert f"`{PREFIX}{name.upper()}`" in (ROOT / "docs/settings.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("target", sorted(set(re.findall(r"^make ([a-z-]+)", README, re.M))))
def test_the_targets_that_the_readme_names_exist(target):
    done = subprocess.run(
        ["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_commands_that_the_readme_names_exist():
    named = re.findall(r"\.venv/bin/(lakeline (?:lake )?[a-z]+)", README)
    assert named
    assert set(named) <= set(commands(main))


def test_the_domain_in_the_readme_is_built_as_it_says(tmp_path):
    source = re.search(r"```python\n(import datetime.*?)```", README, re.S)
    steps = re.search(
        r"Save it as `(assets/\w+/)(\w+\.py)`.*?`lakeline (backfill [^`]*)`", README, re.S
    )
    assert source is not None
    assert steps is not None
    project = a_project(tmp_path / "project")
    folder = project / steps[1]
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / steps[2]).write_text(source[1])
    definitions = (project / "definitions.py").read_text()
    named = definitions.replace("import flights,", f"import {folder.name}, flights,").replace(
        "(flights, shop)", f"({folder.name}, flights, shop)"
    )
    (project / "definitions.py").write_text(named)

    state = tmp_path / "state"
    arguments = [*shlex.split(steps[3]), "--to", "2026-01-04"]
    lakeline = Path(sys.executable).parent / "lakeline"
    done = subprocess.run(
        [lakeline, *arguments], cwd=project, env={**os.environ, f"{PREFIX}STATE": str(state)}, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr

    house = build_resources(Settings(state=state))["lakehouse"]
    spent = house.lake.load("cafe.spending").scan().to_arrow().to_pylist()
    assert len(spent) == 4
    rejected = house.lake.load("cafe_quarantine.orders").scan().to_arrow().to_pylist()
    assert {row["rule"] for row in rejected} == {"amount_cents.ge"}
    rebuilt = house.ledger.consumers("cafe/orders_clean", "2026-01-01")
    assert sorted(one.partition for one in rebuilt if one.asset == "cafe/spending") == [
        "2026-01-01",
        "2026-01-02",
        "2026-01-03",
    ]


def test_the_walk_through_the_feature_stores_runs_in_an_empty_folder(tmp_path):
    page = (ROOT / "docs/features.md").read_text()
    section = page.split("## The stores alone", 1)[1].split("\n## ", 1)[0]
    blocks = re.findall(r"```(?:yaml|python)\n# ([a-z_.]+).*?\n(.*?)```", section, re.S)
    assert [name for name, _ in blocks] == ["feature_store.yaml", "rides.py", "use.py"]
    for name, text in blocks:
        (tmp_path / name).write_text(text)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "use.py"], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, timeout=300, check=False
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    ratings = re.findall(r"│ \d\s+┆ .*? ┆ (\S+)\s+┆", done.stdout)
    assert ratings == ["4.0", "4.5", "null", "null"], done.stdout
    assert "'rating': [4.5, None]" in done.stdout


class Flown(Contract, version="1.0"):
    """One row a flight."""

    event_ts: dt.datetime = column("When", event_time=True, key=True)
    origin: str = column("From where")
    carrier: str = column("By whom")


def test_the_code_of_the_page_about_the_lake_runs(tmp_path, monkeypatch):
    reader, faster, upkeep = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/lake.md").read_text(), re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    house = Lakehouse.in_folder(tmp_path / "state")
    target = Target(asset="flights/departures", contract=Flown, daily=True)
    moments = [dt.datetime(2013, month, 1, tzinfo=dt.UTC) for month in (5, 6, 7)]
    rows = pl.DataFrame({"event_ts": moments, "origin": ["JFK", "JFK", "LGA"], "carrier": "AA"})
    window = Window.of_days("2013-05-01", "2013-07-01")
    publish(house.lake, house.ledger, target, rows, window=window)
    assert value_of(reader).select("carrier").height == 2
    assert value_of(faster)["event_ts"].to_list() == moments[1:2]
    told: dict[str, Any] = {}
    exec(compile(upkeep, "lake.md", "exec"), told)  # noqa: S102 - the repository's own page
    assert told["upkeep"].execute_in_process(resources={"lakehouse": house}).success
    assert told["nightly"].cron_schedule == "30 3 * * *"


def value_of(source: str) -> pl.DataFrame:
    """What the last line of some code is worth, after the lines before it."""
    *lines, last = ast.parse(source).body
    told: dict[str, Any] = {}
    exec(compile(ast.Module(lines, []), "lake.md", "exec"), told)  # noqa: S102
    assert isinstance(last, ast.Expr)
    found = eval(compile(ast.Expression(last.value), "lake.md", "eval"), told)  # noqa: S307
    assert isinstance(found, pl.DataFrame)
    return found
