"""Assets with compute= are built where they say, within what they say, and everything they say arrives."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import psutil
import pytest

from lakeline.compute import Compute
from lakeline.compute.errors import WorkerLostError
from lakeline.resource import Lakehouse
from tests import placed_shop
from tests.shop import FIRST, Run, new_domain, published, run, sales_asset

ROOT = Path(__file__).parents[1]


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder where bodies leave notes."""
    folder = tmp_path / "notes"
    folder.mkdir()
    monkeypatch.setenv("PLACED_NOTES", str(folder))
    return folder


@pytest.fixture
def house(tmp_path: Path, notes: Path) -> Lakehouse:
    """An empty lakehouse."""
    return Lakehouse.in_folder(tmp_path / "house")


def sold(house: Lakehouse) -> Run:
    """A run that publishes the sales of a day."""
    return run([placed_shop.sales], house, FIRST)


def test_a_declared_asset_is_built_in_a_process_of_its_own(house: Lakehouse, notes: Path) -> None:
    done = sold(house)
    assert done.success, done.error
    assert int((notes / "pid").read_text()) != os.getpid()
    assert len(published(house, "placed.sales")) == 2
    [one] = done.materializations("sales")
    assert one.metadata["tills"].value == 2
    assert one.metadata["page"].value == "**two** tills"
    assert one.metadata["placement"].value == "a process of its own"
    assert one.metadata["declared"].value == "1 cpu, 1Gi"
    assert float(str(one.metadata["cpu_s"].value)) > 0
    assert float(str(one.metadata["peak_memory_mib"].value)) > 50
    assert one.metadata["dagster/row_count"].value == 2
    assert (one.tags or {})["dagster/data_version"]
    check = done.check("sales", "tills")
    assert (check.passed, check.description) == (False, "One till is slow")


def test_an_asset_without_compute_stays_in_the_process_of_the_run(
    house: Lakehouse, notes: Path
) -> None:
    assert sold(house).success
    assert run([placed_shop.sales, placed_shop.light_totals], house, FIRST).success
    assert int((notes / "light_pid").read_text()) == os.getpid()


def test_what_a_process_used_is_in_the_ledger(house: Lakehouse) -> None:
    sold(house)
    [used] = house.ledger.used()
    assert used.placement == "subprocess"
    assert used.peak_rss_bytes > 50 * 2**20
    assert (used.gpu_s, used.gpu_busy) == (0.0, None)


def test_threads_and_cores_are_those_declared(house: Lakehouse, notes: Path) -> None:
    sold(house)
    assert (notes / "threads").read_text() == "1"
    assert (notes / "cores").read_text() == "1"
    assert (notes / "gpus").read_text() == ""


def test_an_error_of_the_function_fails_the_step_in_its_own_words(
    house: Lakehouse, notes: Path
) -> None:
    (notes / "do_fail").touch()
    assert sold(house).error == "'placed/sales' failed with ZeroDivisionError: the till is empty"
    (notes / "do_fail").unlink()
    (notes / "do_refuse").touch()
    assert sold(house).error == "the till is closed"


def test_a_process_that_dies_is_told_of(house: Lakehouse, notes: Path) -> None:
    (notes / "do_die").touch()
    said = sold(house).error
    assert said == "'placed/sales' was lost: its process ended with code 9, see its stderr."


def test_more_memory_than_declared_is_named_and_not_tried_again(
    house: Lakehouse, notes: Path
) -> None:
    assert sold(house).success
    (notes / "do_eat").touch()
    done = run([placed_shop.sales, placed_shop.totals], house, FIRST)
    assert done.error.startswith(
        "'placed/totals' ran out of memory: it declares memory='600Mi', and its process was ended when it held "
    )
    assert "lakeline compute placed/totals" in done.error
    held = int(done.error.split("when it held ")[1].split(" MiB")[0].replace(",", ""))
    assert 600 < held < 900
    assert not (notes / "eaten").exists()
    kinds = [one.event_type_value for one in done.result.all_events if one.step_key == "placed__totals"]  # fmt: skip
    assert "STEP_UP_FOR_RETRY" not in kinds
    assert house.lake.find("placed.totals") is None


def test_without_a_gpu_the_cpu_is_taken_and_said(house: Lakehouse) -> None:
    done = run([placed_shop.sales, placed_shop.gpu_totals], house, FIRST)
    [one] = done.materializations("gpu_totals")
    assert (
        one.metadata["placement_note"].value
        == "placed/gpu_totals runs on the CPU, as there is no GPU"
    )


def test_a_required_gpu_that_is_not_there_is_an_error(house: Lakehouse, notes: Path) -> None:
    done = run([placed_shop.sales, placed_shop.strict_totals], house, FIRST)
    assert done.error.startswith("'placed/strict_totals' requires a GPU and this machine has none")
    assert not (notes / "strict_pid").exists()


def test_a_run_that_has_nothing_to_build_starts_no_process(house: Lakehouse, notes: Path) -> None:
    assets = [placed_shop.sales, placed_shop.totals, placed_shop.gpu_totals]
    with dg.DagsterInstance.ephemeral() as instance:
        assert run(assets, house, FIRST, instance=instance).success
        (notes / "gpu_pid").unlink()
        done = run(assets, house, FIRST, instance=instance, tags={"lakeline/if_changed": "true"})
    assert done.success, done.error
    assert not (notes / "gpu_pid").exists()
    [one] = done.materializations("gpu_totals")
    assert one.metadata["skipped"].value is True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_a_run_ends_everything_that_it_started(
    house: Lakehouse, notes: Path, tmp_path: Path, number: signal.Signals
) -> None:
    (notes / "do_hang").touch()
    code = (
        "import sys; from pathlib import Path; from lakeline.resource import Lakehouse; from tests import placed_shop; "
        "from tests.shop import FIRST, run; run([placed_shop.sales], Lakehouse.in_folder(Path(sys.argv[1])), FIRST)"
    )
    started = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "house")], cwd=ROOT)
    try:
        child = psutil.Process(int(patient((notes / "child").read_text)))
        worker = psutil.Process(int((notes / "pid").read_text()))
        started.send_signal(number)
        started.wait(timeout=60)
        _gone, left = psutil.wait_procs([child, worker], timeout=20)
        assert not left
    finally:
        started.kill()


def patient(ask: Callable[[], str], *, for_s: float = 90) -> str:
    """What a file holds, once it is there and holds something."""
    until = time.monotonic() + for_s
    while time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError):
            if said := ask():
                return said
        time.sleep(0.1)
    raise TimeoutError


def test_a_worker_in_a_pod_leaves_in_order_when_it_is_asked_to() -> None:
    body = (
        "import time; from lakeline.domain.worker import unwind_when_asked; unwind_when_asked()\n"
        "try: print('up', flush=True); time.sleep(600)\n"
        "finally: print('tidied', flush=True)"
    )
    worker = subprocess.Popen([sys.executable, "-c", body], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "up\n"
    worker.terminate()
    assert worker.communicate(timeout=30)[0] == "tidied\n"
    assert worker.returncode == 128 + signal.SIGTERM


def test_a_worker_whose_words_were_lost_has_built_nothing() -> None:
    from lakeline.domain.node import node_of
    from lakeline.domain.placing import concluded

    node = node_of(placed_shop.sales)
    heard = [{"kind": "usage", "cpu_s": 1.0, "wall_s": 2.0, "peak_rss_bytes": 1, "gpu_s": 0.0}]
    heard[0] |= {"gpu_busy": None, "peak_gpu_bytes": 0}
    context = dg.build_asset_context()
    with pytest.raises(WorkerLostError, match="ended without a result"):
        list(concluded(context, node, heard, {}, None))


def test_an_asset_that_another_process_cannot_find_says_how_it_must_be_declared(
    house: Lakehouse,
) -> None:
    hidden = sales_asset(new_domain("hidden"), compute=Compute(memory="1Gi"))
    assert run([hidden], house, FIRST).error == (
        "'hidden/sales' failed with UnfoundAssetError: The process that is to build 'hidden/sales' cannot find it in module "
        "'tests.shop': importing it does not declare the asset. An asset with compute= must be declared when its module is "
        "imported, not inside a function; one that lakeline makes, of a dbt model or beside a feature view, in the folder "
        "of a domain that load_domain loads."
    )
