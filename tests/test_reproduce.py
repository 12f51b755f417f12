"""A model version is built again bit for bit, whatever has happened to its table; and what is said where it cannot be."""

import datetime as dt
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner, Result

from lakeline.cli import main
from lakeline.domain.capsules import delete_version, held_tables, hold_version, is_deleted
from lakeline.domain.rebuilding import (
    GPU_TOLERANCE,
    CodeDriftError,
    Rebuilt,
    differences,
    is_of_gpu,
    is_reproduced,
    metric_differences,
    past_rows,
    rebuild,
    require_same_code,
)
from lakeline.errors import UnknownModelError
from lakeline.lake.holds import UnknownSnapshotError, holds_of, release, tag_of, tags
from lakeline.lake.maintenance import compact, expire, remove_orphans
from lakeline.lake.past import scan_past
from lakeline.lake.read import UnknownColumnError
from lakeline.models.capsule import (
    CAPSULE,
    CAPSULE_FILE,
    NoCapsuleError,
    TamperedCapsuleError,
    parse_capsule,
)
from lakeline.models.environment import Environment, present_environment, project_root
from lakeline.models.manifest import MANIFEST_FILE, broken_files
from lakeline.models.registry import Registry
from lakeline.window import day_start
from tests.learning import TABLE, Mill, World, mill
from tests.networks import require_torch
from tests.test_promoting import DEFINITIONS, PROJECT, _deployment

SAMPLES = "mill.samples"
NOW = dt.timedelta(0)
ELSEWHERE = {"commit": "0123456789abcdef", "is_dirty": False}


def project(folder: Path, world: str = "World()") -> Path:
    """A project whose mill has its state in ``folder``."""
    module = f"mill_{folder.name.replace('-', '_')}"
    text = DEFINITIONS.format(deployment=_deployment(folder)).replace("World()", world)
    (folder / "pyproject.toml").write_text(PROJECT.format(module=module))
    (folder / f"{module}.py").write_text(text)
    return folder


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    Registry(folder=folder).versions(TABLE)
    return folder / "registry.db"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Mill:
    """Two versions; then every day written anew, a column more, and maintenance that keeps as little as it may."""
    found = Mill.at(project(tmp_path_factory.mktemp("reproduced")), World(), empty)
    found.measure("2024-03-01", "2024-03-30")
    assert found.train().success
    found.measure("2024-03-31", "2024-04-20")
    assert found.train().success
    found.world.turns_on = "2024-03-01"
    assert found.measure("2024-03-01", "2024-04-20").success
    assert found.measure("2024-04-21", "2024-04-21").success
    assert found.measure("2024-04-22", "2024-04-22").success
    found.world.turns_on = None
    maintain(found)
    return found


def maintain(found: Mill) -> None:
    from pyiceberg.types import DoubleType

    lake = found.house.lake
    with lake.load(SAMPLES).update_schema() as change:
        change.add_column("later", DoubleType())
    compact(lake, SAMPLES)
    expire(lake, SAMPLES, older_than=NOW, keep_last=1)
    remove_orphans(lake, SAMPLES, grace=NOW)


@pytest.fixture
def fresh(tmp_path: Path, empty: Path) -> Mill:
    """A mill with one version, for tests that break something."""
    found = Mill.at(project(tmp_path), World(), empty)
    found.measure("2024-03-01", "2024-03-20")
    found.train()
    assert found.registry.version(TABLE, 1)
    return found


def folder_of(found: Mill) -> Path:
    return Path(found.house.models).parent


def shown(found: Mill, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--project", str(folder_of(found)), *arguments])


def words(done: Result) -> str:
    return " ".join(done.output.split())


def test_a_version_is_built_again_bit_for_bit_after_everything_that_maintenance_does(made):
    done = shown(made, "reproduce", "breaks@1", "--metrics")
    assert done.exit_code == 0, done.output
    assert "mill/breaks@1 is the same, bit for bit: built again from 1,800 rows" in words(done)
    assert made.registry.version(TABLE, 1).digest in done.output
    assert "metrics are exactly what was registered" in words(done)


def test_the_held_rows_are_those_that_were_read_and_not_the_present_ones(made):
    capsule = made.registry.capsule(TABLE, 1)
    then = past_rows(made.house.lake, capsule, capsule.data.learned_until).frame
    expected = pl.concat([World().samples(f"2024-03-{day:02}") for day in range(1, 31)])
    is_known = pl.col(capsule.learning.known) < capsule.data.learned_until
    rows = expected.filter(is_known).select(then.columns)
    assert then.equals(rows.sort(pl.col("event_ts").dt.date(), capsule.learning.at, *then.columns))
    assert rebuild(made.house.lake, made.node, capsule).content == capsule.data.content


def test_a_capsule_says_what_was_read_with_which_code_and_where(made):
    capsule = made.registry.capsule(TABLE, 2)
    version = made.registry.version(TABLE, 2)
    assert capsule.data.snapshot_id == version.snapshots[SAMPLES]
    assert (capsule.asset, capsule.seed, capsule.params["rounds"]) == ("mill/breaks", 7, 12)
    assert capsule.learning.features == ("heat", "noise")
    assert capsule.code_version == made.node.code_version
    assert capsule.digest == version.digest
    assert capsule.environment.packages["lightgbm"]
    assert capsule.environment.lock_sha256 is not None
    assert parse_capsule(capsule.to_json()) == capsule


def test_the_manifest_has_the_hash_of_every_file_of_a_version(made):
    folder = next(Path(made.house.models).rglob(CAPSULE_FILE)).parent
    told = json.loads((folder / MANIFEST_FILE).read_text())
    assert {"capsule.json", "lakeline.json", "model.lgb", "MLmodel"} <= {
        one["path"] for one in told["outs"]
    }
    assert broken_files(folder) == []


def test_holds_and_their_cost_are_told(made):
    [found] = list(held_tables(made.house.lake))
    assert [one.tag for one in found.held] == [tag_of(TABLE, 1), tag_of(TABLE, 2)]
    assert found.share > 0
    assert found.size_bytes >= sum(one.size_bytes for one in found.held) > 0
    done = shown(made, "lake", "holds")
    assert "mill.samples 2 holds" in words(done)
    assert "mill.breaks@1 snapshot" in words(done)


def test_two_versions_are_shown_side_by_side(made):
    done = shown(made, "diff", "breaks@1", "breaks@2")
    assert done.exit_code == 0, done.output
    lines = words(done)
    for told in ("learned until 2024-03-31 2024-04-07", "rows 1,800 2,220", "snapshot", "auc", "importance heat"):  # fmt: skip
        assert told in lines
    assert "code version" not in lines
    assert "code version" in words(shown(made, "diff", "breaks@1", "breaks@2", "--all"))
    same = shown(made, "diff", "breaks@1", "breaks@1")
    assert "are the same in everything" in words(same)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("reproduce", "breaks"), "'breaks' names no version of a model. Write MODEL@VERSION"),
        (("reproduce", "breaks@7"), "no model 'mill.breaks' at '7'. It has version 1, version 2"),
        (("reproduce", "breaks@best"), "no model 'mill.breaks' at 'best'. It has version 1"),
        (("reproduce", "samples@1"), "'mill/samples' is no model. The models are mill/breaks"),
        (("diff", "breaks@1", "breakz@2"), "There is no asset 'breakz'. Did you mean breaks"),
    ],
)
def test_what_cannot_be_is_one_clear_line(made, arguments, told):
    done = shown(made, *arguments)
    assert done.exit_code == 1
    assert told in words(done)


def test_a_capsule_that_was_changed_proves_nothing(fresh):
    file = next(Path(fresh.house.models).rglob(CAPSULE_FILE))
    text = file.read_text()
    file.write_text(text.replace('"seed": 7', '"seed": 8'))
    assert broken_files(file.parent) == [CAPSULE_FILE]
    with pytest.raises(TamperedCapsuleError, match=r"capsule of version 1 .* was changed since"):
        fresh.registry.capsule(TABLE, 1)
    assert "Restore capsule.json" in words(shown(fresh, "reproduce", "breaks@1"))


def test_a_version_without_a_capsule_says_so(fresh):
    version = fresh.registry.version(TABLE, 1)
    client = fresh.registry._client()
    client.delete_model_version_tag(TABLE, "1", CAPSULE)
    with pytest.raises(NoCapsuleError, match="has no capsule: what it learned from was not"):
        fresh.registry.capsule(TABLE, 1)
    release(fresh.house.lake, SAMPLES, tag_of(TABLE, 1))
    hold_version(fresh.house.lake, replace(version, tags={}))
    assert tags(fresh.house.lake.load(SAMPLES)) == []


def test_a_snapshot_that_is_gone_is_named_with_the_tag_that_held_it(fresh):
    lake, held = fresh.house.lake, fresh.registry.version(TABLE, 1)
    release(lake, SAMPLES, tag_of(TABLE, 1))
    for day in ("2024-03-21", "2024-03-22", "2024-03-23"):
        fresh.measure(day, day)
    expire(lake, SAMPLES, older_than=NOW, keep_last=1)
    said = words(shown(fresh, "reproduce", "breaks@1"))
    assert f"'mill.samples' has no snapshot {held.snapshots[SAMPLES]}, which it learned" in said
    assert "Its tag lakeline.model.mill.breaks.1 was taken away" in said
    with pytest.raises(UnknownSnapshotError, match="has no snapshot"):
        past_rows(lake, fresh.registry.capsule(TABLE, 1), day_start("2024-03-20"))
    hold_version(lake, replace(held, reused=True))  # it was there before: training goes on
    with pytest.raises(UnknownSnapshotError):
        hold_version(lake, held)


def test_other_code_is_refused_and_compared_when_asked_for(fresh):
    project(folder_of(fresh), "World(rounds=13)")
    module = f"mill_{folder_of(fresh).name.replace('-', '_')}"
    sys.modules.pop(module, None)
    refused = shown(fresh, "reproduce", "breaks@1")
    assert refused.exit_code == 1
    assert "mill/breaks@1 was trained by code version" in words(refused)
    assert "Add --anyway" in words(refused)
    done = shown(fresh, "reproduce", "breaks@1", "--anyway")
    assert done.exit_code == 1
    assert "mill/breaks@1 is not the same" in words(done)
    assert "code version differs from the training" in words(done)
    mill(World())  # the asset as other tests know it


def test_deleting_a_version_releases_what_was_held_for_it(fresh):
    lake = fresh.house.lake
    assert tags(lake.load(SAMPLES)) == [tag_of(TABLE, 1)]
    delete_version(fresh.house, TABLE, 1)
    assert tags(lake.load(SAMPLES)) == []
    assert fresh.registry.versions(TABLE) == []
    with pytest.raises(UnknownModelError, match=r"no model 'mill.breaks' at '1'"):
        delete_version(fresh.house, TABLE, 1)


def test_what_a_version_held_that_others_deleted_is_told_and_released_when_asked(fresh):
    fresh.registry.delete(TABLE, 1)
    [held] = holds_of(fresh.house.lake, SAMPLES).held
    assert is_deleted(fresh.registry, held)
    assert "the version is deleted" in words(shown(fresh, "lake", "holds"))
    assert tags(fresh.house.lake.load(SAMPLES))
    assert "released" in words(shown(fresh, "lake", "holds", "--release-deleted"))
    assert "Nothing is held" in words(shown(fresh, "lake", "holds"))


def test_a_column_that_came_before_the_training_without_a_commit_is_null_in_the_past(fresh):
    from pyiceberg.types import DoubleType

    table = fresh.house.lake.load(SAMPLES)
    with table.update_schema() as change:
        change.add_column("later", DoubleType())
    table.refresh()
    head = table.current_snapshot()
    assert head is not None
    then = scan_past(table, head.snapshot_id, None, columns=["heat", "later"]).collect()
    assert then.schema["later"] == pl.Float64
    assert then["later"].null_count() == then.height == 20 * 60
    with pytest.raises(UnknownColumnError, match="has no column never"):
        scan_past(table, head.snapshot_id, None, columns=["never"])


def test_what_differs_is_named_with_what_it_was_and_is(made):
    capsule = made.registry.capsule(TABLE, 1)
    other = replace(capsule.environment, lock_sha256="f" * 64, architecture="riscv64 linux")
    rebuilt = Rebuilt(
        digest="0",
        rows=3,
        content=capsule.data.content,
        code_version=capsule.code_version,
        environment=other,
        metrics={"auc": 0.5},
    )
    found = {one.what: (one.then, one.now) for one in differences(capsule, rebuilt)}
    assert set(found) == {"rows", "requirements/base.lock", "architecture"}
    assert found["rows"] == ("1800", "3")
    [moved] = metric_differences({"auc": 0.6}, rebuilt)
    assert (moved.then, moved.now) == ("0.6", "0.5")


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        (ELSEWHERE, "Commit 0123456789ab has that code: git worktree add ../breaks-1 0123456789ab."),
        (ELSEWHERE | {"is_dirty": True}, "It was commit 0123456789ab with uncommitted changes, so perhaps no commit"),
        (ELSEWHERE | {"commit": None}, "It was in no git repository"),
    ],
)  # fmt: skip
def test_drifted_code_says_where_the_old_code_is(made, environment, told):
    capsule = made.registry.capsule(TABLE, 1)
    then = replace(capsule.environment, **environment)
    drifted = replace(capsule, code_version="old", environment=then)
    with pytest.raises(CodeDriftError) as caught:
        require_same_code(made.node, 1, drifted)
    assert told in str(caught.value)
    assert "trained by code version old" in str(caught.value)


def test_the_environment_knows_commit_changes_and_lock_of_the_function_s_project(tmp_path):
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "train.py").write_text("def train():\n    pass\n")
    scope: dict[str, object] = {}
    exec(compile((tmp_path / "train.py").read_text(), tmp_path / "train.py", "exec"), scope)  # noqa: S102
    train = scope["train"]
    assert callable(train)
    assert project_root(train) == tmp_path
    found = present_environment(train)
    assert (found.lock_sha256, found.is_dirty) == (None, False)
    said = ["-c", "user.name=x", "-c", "user.email=x@y"]
    for words_of_git in (["init", "-q"], ["add", "."], [*said, "commit", "-qm", "one"]):
        subprocess.run(["git", "-C", tmp_path, *words_of_git], check=True)
    clean = present_environment(train)
    assert clean.commit is not None
    assert (len(clean.commit), clean.is_dirty) == (40, False)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/base.lock").write_text("polars==1\n")
    changed = present_environment(train)
    assert changed.is_dirty
    assert changed.lock_sha256 is not None
    assert "with uncommitted changes" in changed.code
    assert isinstance(changed, Environment)
    assert project_root(len) is None


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory, empty: Path) -> Mill:
    """A version that is a network, and a second one, with maintenance after."""
    require_torch()
    place = project(tmp_path_factory.mktemp("networks"), "World(network=True, rounds=3)")
    found = Mill.at(place, World(network=True, rounds=3), empty)
    found.measure("2024-03-01", "2024-03-20")
    found.train()
    found.measure("2024-03-21", "2024-04-20")
    found.train()
    assert len(found.registry.versions(TABLE)) == 2
    maintain(found)
    return found


def test_a_network_is_built_again_bit_for_bit_on_a_cpu(networks):
    done = shown(networks, "reproduce", "breaks@1", "--metrics")
    assert done.exit_code == 0, done.output
    assert "mill/breaks@1 is the same, bit for bit: built again from" in words(done)
    assert "metrics are exactly what was registered" in words(done)
    capsule = networks.registry.capsule(TABLE, 1)
    assert (capsule.params["device"], capsule.params["threads"]) == ("cpu", 1)
    assert (capsule.params["architecture"], capsule.params["epochs"]) == ("tabular_mlp", 3)
    assert capsule.environment.packages["torch"]
    assert capsule.environment.processor
    assert capsule.environment.accelerator == ""


def test_two_networks_are_shown_side_by_side_without_shares_of_splits(networks):
    done = shown(networks, "diff", "breaks@1", "breaks@2", "--all")
    assert done.exit_code == 0, done.output
    for told in ("learned until", "architecture tabular_mlp tabular_mlp", "device cpu cpu", "auc"):
        assert told in words(done)
    assert "importance" not in words(done)


def test_a_network_from_a_gpu_must_give_the_same_probabilities_and_one_from_a_cpu_the_same_bytes(
    networks,
):
    capsule = networks.registry.capsule(TABLE, 1)
    of_gpu = replace(capsule, params={**capsule.params, "device": "cuda"})
    assert is_of_gpu(of_gpu)
    assert not is_of_gpu(capsule)
    lake, registered = networks.house.lake, networks.registry.load(TABLE, 1)
    again = rebuild(lake, networks.node, of_gpu, registered=registered)
    assert again.deviation == 0.0
    other = rebuild(lake, networks.node, replace(of_gpu, seed=8), registered=registered)
    assert other.deviation is not None
    assert other.deviation > GPU_TOLERANCE
    assert not is_reproduced(of_gpu, other)
    near = replace(again, digest="0", deviation=GPU_TOLERANCE / 2)
    assert is_reproduced(of_gpu, near)
    assert not is_reproduced(capsule, near)
    assert not is_reproduced(of_gpu, replace(near, deviation=None))


def test_maintenance_holds_what_a_process_died_before_holding(fresh):
    from lakeline.lake.holds import release, tag_of, tags

    tag = tag_of(TABLE, 1)
    release(fresh.house.lake, SAMPLES, tag)
    fresh.world.turns_on = "2024-03-01"
    assert fresh.measure("2024-03-01", "2024-03-20").success
    done = shown(fresh, "lake", "maintain", "--older-than", "0", "--keep-last", "1")
    assert f"{tag} held: nothing kept what it learned from" in words(done)
    assert tag in tags(fresh.house.lake.load(SAMPLES))
    assert "held" not in words(
        shown(fresh, "lake", "maintain", "--older-than", "0", "--keep-last", "1")
    )
    assert shown(fresh, "reproduce", "breaks@1").exit_code == 0
