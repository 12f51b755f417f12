"""A trace of some steps, as torch's profiler writes it: open it in chrome://tracing or https://ui.perfetto.dev."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch.profiler import ProfilerActivity, profile, schedule

SKIPPED_STEPS, WARM_STEPS, TRACED_STEPS = 3, 2, 10


class Tracer:
    """Traces the steps of a training that come after the first few, once.

    Args:
        take: Given the trace, a file of JSON, when it is complete; and the operations that took longest, as a table.
    """

    def __init__(self, take: Callable[[bytes, str], None]) -> None:
        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        self._take = take
        self._profile = profile(
            activities=activities,
            schedule=schedule(wait=SKIPPED_STEPS, warmup=WARM_STEPS, active=TRACED_STEPS, repeat=1),
            on_trace_ready=self._write,
        )
        self._profile.start()

    def step(self) -> None:
        """A step of the training is done."""
        self._profile.step()

    def close(self) -> None:
        """End it; a training of fewer steps has its trace cut."""
        self._profile.stop()

    def _write(self, done: profile) -> None:
        with TemporaryDirectory() as scratch:
            path = Path(scratch) / "trace.json"
            done.export_chrome_trace(str(path))
            order = "self_cuda_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
            self._take(path.read_bytes(), done.key_averages().table(sort_by=order, row_limit=15))
