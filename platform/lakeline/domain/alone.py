"""Runs of one asset that go one at a time, over processes and machines."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import dagster as dg

from lakeline.domain.node import Node

if TYPE_CHECKING:
    from lakeline.resource import Lakehouse


@contextmanager
def alone(context: dg.AssetExecutionContext, node: Node, work: str) -> Iterator[None]:
    """Held by one run at a time; another one says that it waits, and waits. A process that dies lets go.

    Args:
        context: Of the step.
        node: The asset.
        work: What is done, in one word.
    """
    house: Lakehouse = context.resources.lakehouse
    with house.lake.turn(f"{node.table}.{work}", uuid.uuid4().hex) as turn:
        if not turn.try_take():
            context.log.info("Another %s of '%s' is under way; this one waits", work, node.asset)
            turn.take()
        yield
