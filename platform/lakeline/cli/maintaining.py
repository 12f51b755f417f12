"""The upkeep of one table, told as it goes."""

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lakeline.cli.console import count, size
from lakeline.errors import LakelineError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from lakeline.resource import Lakehouse


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How much upkeep.

    Attributes:
        older_than: Age from which snapshots may go.
        keep_last: Newest snapshots that stay whatever their age.
        grace: Age from which a file that nothing refers to may go.
        is_dry: Whether to say alone what would be done.
    """

    older_than: dt.timedelta
    keep_last: int
    grace: dt.timedelta
    is_dry: bool


def maintain_table(console: "Console", house: "Lakehouse", name: str, plan: Plan) -> bool:
    """Do it, and print what was done; False where an error of lakeline's stopped it, which is printed too."""
    from rich.markup import escape

    try:
        done = list(_done(house, name, plan))
    except LakelineError as error:
        console.print(f"[red]{name}[/red]  {escape(str(error))}", soft_wrap=True)
        return False
    console.print(f"[bold]{name}[/bold]  {'; '.join(done) if done else '[dim]nothing to do'}")
    return True


def _done(house: "Lakehouse", name: str, plan: Plan) -> "Iterator[str]":
    """Compaction first: the files that it replaces are old snapshots' business from then on."""
    from lakeline.lake.maintenance import compact, expire, remove_orphans

    would = "would be " if plan.is_dry else ""
    is_published = house.ledger.last_snapshot(name.replace(".", "/", 1)) is not None
    compacted = compact(
        house.lake, name, ledger=house.ledger if is_published else None, dry_run=plan.is_dry
    )
    if compacted.partitions:
        files = f"{compacted.files_before} files to {compacted.files_after}"
        yield f"{count(len(compacted.partitions), 'partition')} {would}rewritten, {files}"
    expired = expire(
        house.lake, name, older_than=plan.older_than, keep_last=plan.keep_last, dry_run=plan.is_dry
    )
    if expired.snapshots:
        room = f"{count(len(expired.files), 'file')}, {size(expired.size_bytes)}"
        yield f"{count(len(expired.snapshots), 'snapshot')} {would}forgotten with {room}"
    orphans = remove_orphans(house.lake, name, grace=plan.grace, dry_run=plan.is_dry)
    if orphans.files:
        yield f"{count(len(orphans.files), 'file')} of crashed writers {would}removed, {size(orphans.size_bytes)}"
