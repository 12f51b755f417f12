"""A training that is killed anywhere goes on and ends with the same bytes; what a disk broke is noticed."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lakeline.models.surroundings import surrounded
from lakeline.neural.checkpoints import HEADER, CheckpointPlaceError, Checkpoints, write_whole
from lakeline.neural.training import train_network
from tests.networks import plan, require_torch, sightings, train
from tests.services import S3

require_torch()

from lakeline.neural.loop import Loop  # noqa: E402

STEPS = 3 * 12  # three epochs of the rows before the held-out fifth


class Killed(BaseException):
    """What ends a training that no handler may catch."""


def die_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the training end before a step."""
    real = Loop._step

    def stepped(self: Loop, *arguments: Any) -> None:
        if self.state.position.step == step:
            raise Killed
        real(self, *arguments)

    monkeypatch.setattr(Loop, "_step", stepped)


@pytest.fixture(scope="module")
def whole() -> bytes:
    """The bytes of a training that nothing interrupts."""
    return train_network(train(), plan()).payload


@pytest.mark.parametrize("step", [0, 1, 4, 5, 6, 11, 12, 13, 24, 29, STEPS - 1])
def test_ended_before_any_step_it_goes_on_and_gives_the_same_bytes(
    step: int, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told: list[Mapping[str, Any]] = []
    with surrounded(checkpoints=str(tmp_path), report=told.append):
        with monkeypatch.context() as dying:
            die_at(dying, step)
            with pytest.raises(Killed):
                train_network(train(), plan())
        assert train_network(train(), plan()).payload == whole
    resumed = [one["step"] for one in told if one["event"] == "resumed"]
    assert resumed == ([] if step < 5 else [max(one for one in (5, 10, 12, 15, 20, 24, 25, 30, 35) if one <= step)])  # fmt: skip
    assert list(tmp_path.rglob("*.ckpt")) == []


KILLED = """
import os, signal, sys
from lakeline.models.surroundings import surrounded
from lakeline.neural.loop import Loop
from lakeline.neural.training import train_network
from tests.networks import plan, train

real, left = Loop._step, int(sys.argv[2])
def step(self, *arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    real(self, *arguments)
Loop._step = step
with surrounded(checkpoints=sys.argv[1]):
    print(train_network(train(), plan()).payload.hex())
"""


def test_killed_with_signal_nine_twice_it_gives_the_same_bytes(whole: bytes, tmp_path: Path):
    def run(steps: int) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path), str(steps)],
            capture_output=True,
            text=True,
            check=False,
            cwd=Path(__file__).parents[1],
        )

    assert run(8).returncode == -signal.SIGKILL
    assert [one.name for one in tmp_path.rglob("*.ckpt")] == ["step-0000000005.ckpt"]
    assert run(12).returncode == -signal.SIGKILL
    done = run(10**6)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == whole.hex()
    assert list(tmp_path.rglob("*.ckpt")) == []


@pytest.mark.parametrize(
    "changed",
    [{"plan": {"seed": 4}}, {"plan": {"learning_rate": 0.02}}, {"frame": sightings(seed=1)}, {"frame": sightings().reverse()}],
)  # fmt: skip
def test_another_plan_or_other_rows_do_not_go_on_from_it(
    changed: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told: list[Mapping[str, Any]] = []
    with surrounded(checkpoints=str(tmp_path), report=told.append):
        with monkeypatch.context() as dying:
            die_at(dying, 12)
            with pytest.raises(Killed):
                train_network(train(), plan())
        other = train(changed.get("frame")), plan(**changed.get("plan", {}))
        found = train_network(*other)
    assert "resumed" not in [one["event"] for one in told]
    assert found.payload == train_network(*other).payload
    assert len(list(tmp_path.rglob("*.ckpt"))) == 2  # those of the first, which is not done


@pytest.mark.parametrize("damage", ["cut", "turned", "emptied"])
def test_a_broken_checkpoint_falls_back_to_the_one_before_with_a_warning(
    damage: str, whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):  # fmt: skip
    told: list[Mapping[str, Any]] = []
    with surrounded(checkpoints=str(tmp_path), report=told.append):
        with monkeypatch.context() as dying:
            die_at(dying, 22)
            with pytest.raises(Killed):
                train_network(train(), plan())
        older, newer = sorted(tmp_path.rglob("*.ckpt"))
        assert (older.name, newer.name) == ("step-0000000015.ckpt", "step-0000000020.ckpt")
        content = newer.read_bytes()
        middle = len(content) // 2
        turned = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        newer.write_bytes({"cut": content[:-9], "turned": turned, "emptied": b""}[damage])
        with caplog.at_level(logging.WARNING):
            assert train_network(train(), plan()).payload == whole
    assert [one["step"] for one in told if one["event"] == "resumed"] == [15]
    assert f"{newer.name} is broken and passed over" in caplog.text


def test_two_are_kept_and_a_file_is_there_whole_or_not_at_all(tmp_path: Path):
    kept = Checkpoints(str(tmp_path), "birds-1")
    for step in (5, 10, 1_000_000):
        kept.write(step, b"state %d" % step)
    assert kept.names() == ["step-0000000010.ckpt", "step-0001000000.ckpt"]
    assert kept.newest() == ("step-0001000000.ckpt", b"state 1000000")
    file = tmp_path / "birds-1/step-0001000000.ckpt"
    assert file.read_bytes().startswith(HEADER)
    file.write_bytes(file.read_bytes().replace(b"checkpoint 1", b"checkpoint 2"))
    assert kept.newest() == ("step-0000000010.ckpt", b"state 10")
    kept.clear()
    kept.clear()
    assert kept.names() == []
    assert kept.newest() is None


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "file"
    write_whole(path, b"first")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, b"second")
    assert [one.name for one in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"first"
    with pytest.raises(CheckpointPlaceError, match=r"cannot be kept at .*No space left"):
        Checkpoints(str(tmp_path), "key").write(1, b"state")


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with surrounded(checkpoints=str(tmp_path / "file")), pytest.raises(CheckpointPlaceError, match="Name a folder or an s3"):  # fmt: skip
        train_network(train(), plan())


@pytest.mark.services
def test_checkpoints_in_a_bucket_do_the_same(s3: S3, whole: bytes, monkeypatch: pytest.MonkeyPatch):
    properties = {
        "s3.endpoint": s3.endpoint,
        "s3.access-key-id": s3.key,
        "s3.secret-access-key": s3.secret,
        "s3.region": s3.region,
    }
    told: list[Mapping[str, Any]] = []
    place = f"s3://{s3.bucket}/checkpoints"
    with surrounded(checkpoints=place, properties=properties, report=told.append):
        with monkeypatch.context() as dying:
            die_at(dying, 22)
            with pytest.raises(Killed):
                train_network(train(), plan())
        assert train_network(train(), plan()).payload == whole
    assert [one["step"] for one in told if one["event"] == "resumed"] == [20]
