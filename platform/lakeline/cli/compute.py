"""`lakeline compute`: what each asset declares, what its builds used, and where the two are far apart."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lakeline.cli.console import console, size

if TYPE_CHECKING:
    from lakeline.compute.declaration import Compute
    from lakeline.ledger import Used


@click.command()
@click.argument("assets", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="Also assets that declare nothing and run in the process of the run.")  # fmt: skip
@click.option("--newest", type=click.IntRange(1), default=20, show_default=True, help="How many builds of each asset are looked at.")  # fmt: skip
@click.pass_obj
def compute(start: Path | None, assets: tuple[str, ...], is_all: bool, newest: int) -> None:  # noqa: FBT001 - click's way
    """Show what assets declare with compute=, and what their builds used of it."""
    from lakeline.cli.keys import find_asset
    from lakeline.project import load_project

    project = load_project(start)
    nodes = project.nodes
    named = [find_asset(one, nodes) for one in assets] if assets else sorted(nodes)
    used = {one.asset: one for one in project.house.ledger.used(newest=newest)}
    shown = [name for name in named if is_all or assets or nodes[name].extras.get("compute")]
    if not shown:
        console().print("No asset declares compute=. See all with --all")
        return
    console().print(_table({name: nodes[name].extras.get("compute") for name in shown}, used))
    for name in shown:
        for said in _advice(nodes[name].extras.get("compute"), used.get(name)):
            console().print(f"[yellow]{name}[/yellow] {said}")


def _table(declared: "dict[str, Compute | None]", used: "dict[str, Used]") -> Any:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("asset", "declares", "ran in", "memory", "cores", "GPU busy", "GPU memory", "took", "builds"):  # fmt: skip
        table.add_column(heading, overflow="fold")
    for name, compute in declared.items():
        table.add_row(name, str(compute) if compute else "-", *_cells(used.get(name)))
    return table


def _cells(used: "Used | None") -> list[str]:
    if used is None:
        return ["never built", *[""] * 6]
    return [
        used.placement.replace("_", " "),
        size(used.peak_rss_bytes),
        f"{used.cores:.1f}",
        "-" if used.gpu_busy is None else f"{used.gpu_busy:.0%}",
        size(used.peak_gpu_bytes) if used.peak_gpu_bytes else "-",
        f"{used.wall_s:.1f} s",
        str(used.batches),
    ]


def _advice(declared: "Compute | None", used: "Used | None") -> list[str]:
    from lakeline.compute.sizing import Seen, advice

    if used is None:
        return []
    seen = Seen(peak_rss_bytes=used.peak_rss_bytes, cores=used.cores, gpu_busy=used.gpu_busy)
    return advice(declared, seen)
