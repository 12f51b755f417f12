"""`lakeline lake`: look at the tables of the lake, and keep them in order."""

import datetime as dt
from pathlib import Path

import click

from lakeline.cli.console import console, count, moment, size
from lakeline.cli.holding import holds


@click.group()
def lake() -> None:
    """The Iceberg tables: snapshots, files, upkeep."""


lake.add_command(holds)


@lake.command()
@click.argument("key")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(1), help="How many, newest first."
)
@click.pass_obj
def snapshots(start: Path | None, key: str, limit: int) -> None:
    """List the snapshots of an asset's table."""
    from rich.table import Table as Grid

    from lakeline.cli.tables import table_of
    from lakeline.lake.commit import batches_of
    from lakeline.project import load_project

    table = table_of(load_project(start), key)
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for heading in ("snapshot", "at", "operation", "files added", "removed", "rows", "publish"):
        grid.add_column(
            heading,
            no_wrap=True,
            justify="right" if heading in {"files added", "removed", "rows"} else "left",
        )
    for one in sorted(
        table.metadata.snapshots, key=lambda one: one.sequence_number or 0, reverse=True
    )[:limit]:
        held = one.summary.additional_properties if one.summary else {}
        grid.add_row(
            str(one.snapshot_id),
            moment(dt.datetime.fromtimestamp(one.timestamp_ms / 1000, dt.UTC)),
            one.summary.operation.value if one.summary else "-",
            held.get("added-data-files", "0"),
            held.get("deleted-data-files", "0"),
            held.get("total-records", "-"),
            "\n".join(batches_of(one)) or "[yellow]another writer's",
        )
    console().print(grid)


@lake.command()
@click.argument("key")
@click.option(
    "--limit",
    default=50,
    show_default=True,
    type=click.IntRange(1),
    help="How many, newest partitions first.",
)
@click.pass_obj
def files(start: Path | None, key: str, limit: int) -> None:
    """List the data files of an asset's table as it is now."""
    from rich.table import Table as Grid

    from lakeline.cli.tables import table_of
    from lakeline.lake.partitions import partition_key
    from lakeline.project import load_project

    table = table_of(load_project(start), key)
    held = [task.file for task in table.scan().plan_files()] if table.current_snapshot() else []
    grid = Grid(box=None, pad_edge=False, header_style="bold")
    for heading in ("partition", "rows", "size", "file"):
        grid.add_column(
            heading,
            no_wrap=heading != "file",
            justify="right" if heading in {"rows", "size"} else "left",
        )
    for file in sorted(held, key=lambda one: (partition_key(one), one.file_path), reverse=True)[
        :limit
    ]:
        grid.add_row(
            partition_key(file) or "-",
            f"{file.record_count:,}",
            size(file.file_size_in_bytes),
            file.file_path,
        )
    console().print(grid)
    total = sum(file.file_size_in_bytes for file in held)
    console().print(f"{count(len(held), 'file')}, {size(total)}")


@lake.command()
@click.argument("keys", nargs=-1)
@click.option(
    "--older-than",
    "days",
    default=7.0,
    show_default=True,
    help="Days after which snapshots may go.",
)
@click.option(
    "--keep-last",
    default=10,
    show_default=True,
    type=click.IntRange(1),
    help="Newest snapshots that stay.",
)
@click.option(
    "--grace",
    "grace_h",
    default=24.0,
    show_default=True,
    help="Hours that unknown files are left alone.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.pass_obj
def maintain(
    start: Path | None,
    keys: tuple[str, ...],
    days: float,
    keep_last: int,
    grace_h: float,
    dry_run: bool,  # noqa: FBT001 - click's way
) -> None:
    """Rewrite crowded partitions, forget old snapshots, remove files that nothing refers to.

    Without KEYS: every table of the lake. Both times must be longer than the longest run.
    """
    from lakeline.cli.maintaining import Plan, maintain_table
    from lakeline.cli.tables import table_name
    from lakeline.domain.capsules import hold_missing
    from lakeline.project import load_project

    project = load_project(start)
    names = [table_name(project, key) for key in keys] or project.house.lake.tables()
    plan = Plan(
        older_than=dt.timedelta(days=days),
        keep_last=keep_last,
        grace=dt.timedelta(hours=grace_h),
        is_dry=dry_run,
    )
    models = [node.table for node in project.nodes.values() if "learning" in node.extras]
    for tag in [] if dry_run else hold_missing(project.house, models):
        console().print(f"{tag}  held: nothing kept what it learned from")
    failed = [name for name in names if not maintain_table(console(), project.house, name, plan)]
    if failed:
        raise click.ClickException(
            f"{count(len(failed), 'table')} could not be maintained: {', '.join(failed)}."
        )


@lake.command()
@click.argument("key")
@click.pass_obj
def adopt(start: Path | None, key: str) -> None:
    """Take what another engine wrote to an asset's table as published."""
    from lakeline.adopting import adopt as take
    from lakeline.cli.tables import node_named
    from lakeline.project import load_project

    project = load_project(start)
    node = node_named(project, key)
    done = take(project.house.lake, project.house.ledger, node.target)
    console().print(
        f"{node.asset}: {count(len(done.changed), 'partition')} taken as they are now, {len(done.forgotten)} gone, "
        f"{done.unchanged} as before; snapshot {done.snapshot_id}."
    )
    for one in done.violations:
        console().print(f"  {one.rule} broken by {count(one.count, 'row')}, left where they are")
    if done.changed or done.forgotten:
        console().print("What was built from them is marked: see lakeline ls.")


@lake.command()
@click.argument("key")
@click.pass_obj
def rollback(start: Path | None, key: str) -> None:
    """Undo what another engine wrote to an asset's table since lakeline published it."""
    from lakeline.adopting import rollback as undo
    from lakeline.cli.tables import node_named
    from lakeline.project import load_project

    project = load_project(start)
    node = node_named(project, key)
    done = undo(project.house.lake, project.house.ledger, node.target)
    console().print(
        f"{node.asset} is at snapshot {done.snapshot_id}; {count(len(done.undone), 'snapshot')} undone."
    )
