"""What a person sees while a run goes on: a bar an asset, or a line an asset where output is kept in a file."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from lakeline.cli.console import count, seconds

if TYPE_CHECKING:
    from types import TracebackType

    from dagster import DagsterEvent
    from rich.console import Console
    from rich.progress import TaskID

MARKS = {"done": "[green]✓", "failed": "[red]✗", "waiting": "[dim]·"}


class RunProgress:
    """The assets of a run and how far each is; give it each event of the run, with the assets that it is about.

    Args:
        console: Where it is shown.
        assets: Names, in the order in which they run.
        partitions: How many partitions the run builds of a daily asset.
        daily: Which of the assets are daily.
    """

    def __init__(
        self, console: "Console", assets: Sequence[str], *, partitions: int, daily: frozenset[str]
    ) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self._console = console
        self._expected = {asset: partitions if asset in daily else 1 for asset in assets}
        self._built: Counter[str] = Counter()
        self._rows: Counter[str] = Counter()
        self._is_unchanged: set[str] = set()
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            SpinnerColumn(finished_text=" "),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("{task.fields[said]}"),
            console=console,
            disable=not console.is_terminal,
        )

    def __enter__(self) -> Self:
        for asset, partitions in self._expected.items():
            self._tasks[asset] = self._progress.add_task(
                f"{MARKS['waiting']} {asset}", start=False, total=partitions, said="[dim]waiting"
            )
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: "TracebackType | None",
    ) -> None:
        self._progress.stop()

    def __call__(self, event: "DagsterEvent", assets: Sequence[str]) -> None:
        """Show what an event tells of some assets."""
        for asset in assets:
            if asset in self._tasks:
                self._show(asset, event)

    def _show(self, asset: str, event: "DagsterEvent") -> None:
        if event.is_step_start:
            self._begin(asset)
        elif event.is_step_materialization:
            self._materialized(asset, event)
        elif event.is_step_success:
            self._end(asset, "done", self._said(asset), event)
        elif event.is_step_failure:
            self._end(asset, "failed", "[red]failed", event)

    def _begin(self, asset: str) -> None:
        task = self._tasks[asset]
        self._progress.start_task(task)
        # Pulses: a range is published by one commit, so all of its partitions are there at once.
        self._progress.update(task, description=f"  {asset}", total=None, said="running")

    def _materialized(self, asset: str, event: "DagsterEvent") -> None:
        self._built[asset] += 1
        held = event.step_materialization_data.materialization.metadata
        value = held["dagster/row_count"].value if "dagster/row_count" in held else 0
        self._rows[asset] += value if isinstance(value, int) else 0
        if "skipped" in held:
            self._is_unchanged.add(asset)

    def _said(self, asset: str) -> str:
        if asset in self._is_unchanged:
            return "[dim]nothing changed"
        built = count(self._built[asset], "partition") if self._expected[asset] > 1 else ""
        rows = count(self._rows[asset], "row") if self._rows[asset] else ""
        return ", ".join(filter(None, (built, rows)))

    def _end(self, asset: str, state: str, said: str, event: "DagsterEvent") -> None:
        took_s = event.step_success_data.duration_ms / 1000 if event.is_step_success else None
        if not self._console.is_terminal:
            self._console.print(
                f"{MARKS[state]} {asset:<36} {seconds(took_s) if took_s is not None else '':>12}  {said}"
            )
            return
        task, total = self._tasks[asset], self._expected[asset]
        self._progress.start_task(task)
        self._progress.update(
            task,
            description=f"{MARKS[state]} {asset}",
            total=total,
            completed=total if state == "done" else 0,
            said=said,
        )
        self._progress.stop_task(task)
