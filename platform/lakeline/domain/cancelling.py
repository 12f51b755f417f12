"""A cancelled run ends: Dagster tries a step that was interrupted again where it has a retry policy, as if a machine had failed."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg


@contextmanager
def ended_by_interrupts(asset: str) -> Iterator[None]:
    """Inside, an interrupt fails the step for good, and the run ends before its next step.

    Dagster 1.13 raises the interrupt in the step, takes it for a reason to retry, and has forgotten it by then.
    """
    from dagster._core.errors import DagsterExecutionInterruptedError
    from dagster._utils import interrupts

    try:
        yield
    except (DagsterExecutionInterruptedError, KeyboardInterrupt) as error:
        # As if the signal came just after the step: the executor looks there before it starts another.
        interrupts._received_interrupt["received"] = True  # it has no public name
        raise dg.Failure(f"'{asset}' was cancelled. Nothing that was under way was published.", allow_retries=False) from error  # fmt: skip
