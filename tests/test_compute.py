"""What a placement may say, and how cores, memory and GPUs are given out."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from lakeline.compute import Compute
from lakeline.compute.declaration import size_of
from lakeline.compute.errors import ComputeDeclarationError, NoGpuError, UnsendableResourceError
from lakeline.compute.gpus import claimed
from lakeline.compute.machine import gpu_names
from lakeline.compute.pools import GPUS, NO_LIMIT, ensure_pools, limits_of, pool_of
from lakeline.compute.processes import Limits, run_limited
from lakeline.compute.task import Task, packed, unpacked
from lakeline.compute.usage import sampling
from lakeline.meter import Meter
from lakeline.resource import Lakehouse

TWO = ("GPU-a", "GPU-b")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"cpu": 0},
            "Compute(cpu=0) cannot be honoured. Use a number of cores above 0, such as 2.",
        ),
        ({"memory": "16 GB"}, "Use a number and a unit, such as 500Mi or 16Gi."),
        ({"memory": "1Mi"}, "Use at least 64Mi, which Python alone needs."),
        ({"gpu": -1}, 'Use a number of GPUs, or "required".'),
        ({"gpu": "yes"}, "Compute(gpu='yes') cannot be honoured."),
        ({"gpu": True}, "Compute(gpu=True) cannot be honoured."),
        ({"max_parallel": 0}, "Use 1 or more."),
        ({"share_gpu": True}, "Use False without a gpu."),
        ({"tolerations": ("a b",)}, "Use key=value:NoSchedule, key:NoSchedule or key."),
    ],
)
def test_what_cannot_be_honoured_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ComputeDeclarationError) as caught:
        Compute(**given)
    assert said in str(caught.value)


def test_a_placement_says_itself_in_words() -> None:
    one = Compute(cpu=2, memory="16Gi", gpu=1, spot=True, max_parallel=2)
    assert str(one) == "2 cpu, 16Gi, 1 gpu, spot, at most 2 at once"
    assert str(Compute(gpu="required")) == "1 gpu required"
    assert str(Compute()) == "a process of its own"


def test_sizes_are_kubernetes_own() -> None:
    assert [size_of(one) for one in ("1Ki", "1k", "2.5Gi", "100")] == [1024, 1000, 5 * 2**29, 100]


def test_two_builds_never_share_a_gpu(tmp_path: Path) -> None:
    said: list[str] = []
    order: list[str] = []

    def later() -> None:
        with claimed(Compute(gpu=2), "b", tmp_path, note=said.append, found=TWO) as mine:
            order.append(",".join(mine))

    with claimed(Compute(gpu=1), "a", tmp_path, note=said.append, found=TWO) as first:
        thread = threading.Thread(target=later)
        with claimed(Compute(gpu=1), "c", tmp_path, note=said.append, found=TWO) as third:
            assert {*first, *third} == set(TWO)
            thread.start()  # not before: it takes hold of a free one while it looks for a second
            time.sleep(0.2)
        order.append("first is done")
    thread.join()
    assert order == ["first is done", "GPU-a,GPU-b"]
    assert said == ["b waits for 2 of 2 GPUs, which other builds use"]


def test_a_shared_gpu_is_given_to_all_who_share(tmp_path: Path) -> None:
    share = Compute(gpu=1, share_gpu=True)
    with (
        claimed(share, "a", tmp_path, note=print, found=TWO) as first,
        claimed(share, "b", tmp_path, note=print, found=TWO) as second,
    ):
        assert first == second == ("GPU-a",)


def test_fewer_gpus_than_asked_for_are_taken_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    with claimed(Compute(gpu=4), "a", tmp_path, note=said.append, found=TWO) as mine:
        assert mine == TWO
    assert said == ["a runs on 2 of 4 GPUs"]


def test_a_required_gpu_is_not_replaced_by_the_cpu(tmp_path: Path) -> None:
    with (
        pytest.raises(NoGpuError, match="requires a GPU and this machine has none"),
        claimed(Compute(gpu="required"), "a", tmp_path, note=print, found=()),
    ):
        pass


def test_a_gpu_whose_holder_was_killed_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, os; from pathlib import Path; from lakeline.compute import Compute; from lakeline.compute.gpus import claimed\n"
        "with claimed(Compute(gpu=1), 'a', Path(sys.argv[1]), note=print, found=('GPU-a',)):\n    os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with claimed(Compute(gpu=1), "b", tmp_path, note=print, found=("GPU-a",)) as mine:
        assert mine == ("GPU-a",)


def test_a_command_is_ended_at_its_memory_with_its_children() -> None:
    child = "import time; held = [b'x' * (1 << 20) * 50 for _ in range(6)]; time.sleep(60)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    ending = run_limited(
        [sys.executable, "-c", code], env=dict(os.environ), limits=Limits(memory_bytes=200 << 20)
    )
    assert ending.reason == "memory"
    assert ending.peak_bytes > 200 << 20
    assert not [one for one in psutil.process_iter(["cmdline"]) if child in (one.info["cmdline"] or [])]  # fmt: skip


def test_what_a_command_leaves_behind_is_ended() -> None:
    child = "import time; time.sleep(61)"
    code = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {child!r}])"
    ending = run_limited([sys.executable, "-c", code], env=dict(os.environ), limits=Limits())
    assert (ending.reason, ending.code) == ("exited", 0)
    assert not [one for one in psutil.process_iter(["cmdline"]) if child in (one.info["cmdline"] or [])]  # fmt: skip


def test_pools_have_a_slot_for_each_gpu_and_for_what_an_asset_allows() -> None:
    declared = {
        "a/one": Compute(max_parallel=2, gpu=1),
        "a/two": Compute(gpu=1),
        "a/three": Compute(cpu=1),
        "a/four": None,
    }
    assert [pool_of(*one) for one in declared.items()] == ["lakeline/a/one", GPUS, None, None]
    local = limits_of(declared, is_local=True)
    assert local["lakeline/a/one"] == 2
    assert local[GPUS] == max(1, len(gpu_names()))
    assert limits_of(declared, is_local=False) == {"lakeline/a/one": 2, GPUS: NO_LIMIT}
    with dg.DagsterInstance.ephemeral() as instance:
        ensure_pools(instance, local)
        ensure_pools(instance, local)


def test_pools_are_set_in_a_real_instance(tmp_path: Path) -> None:
    from lakeline.instance import open_instance

    with open_instance(tmp_path) as instance:
        ensure_pools(instance, {"lakeline/a/one": 2, GPUS: 3})
        ensure_pools(instance, {"lakeline/a/one": 4})
        found = {one.name: one.limit for one in instance.event_log_storage.get_pool_limits()}
    assert found == {"lakeline/a/one": 4, GPUS: 3}


def test_a_resource_goes_to_another_process_as_its_class_and_fields(tmp_path: Path) -> None:
    house = Lakehouse.in_folder(tmp_path)
    [back] = unpacked(packed("a/b", {"lakehouse": house})).values()
    assert back == house
    with pytest.raises(UnsendableResourceError, match="Resource 'lock' of 'a/b' cannot be sent"):
        packed("a/b", {"lock": threading.Lock()})


def test_a_task_survives_json() -> None:
    import json

    one = Task(
        asset="a/b", module="m", file="", run_id="r", tags={"x": "y"}, placement="subprocess",
        partitions=("2024-01-01", "2024-01-02"), gpus=TWO,
    )  # fmt: skip
    assert Task.from_json(json.loads(json.dumps(one.to_json()))) == one


def test_children_count_in_what_a_build_used() -> None:
    code = "held = b'x' * (300 << 20); import time; end = time.monotonic() + 1\nwhile time.monotonic() < end: pass"
    with sampling("subprocess"):
        meter = Meter()
        subprocess.run([sys.executable, "-c", code], check=True)
        cost = meter.cost()
    assert cost.placement == "subprocess"
    assert cost.peak_rss_bytes > 300 << 20
    assert cost.cpu_s > 0.3
