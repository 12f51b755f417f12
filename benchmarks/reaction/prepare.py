"""Writes the source and builds everything once, so that a daemon finds a graph at rest."""

import logging
import os
from pathlib import Path

import dagster as dg

from benchmarks.reaction.location import FOLDER, machines_in, resources_in
from benchmarks.reaction.mill import DAYS, FIRST, LAST, mill
from lakeline.instance import open_instance
from lakeline.window import shift


def prepare(folder: Path) -> None:
    """Build all days in one run."""
    logging.disable(logging.INFO)
    (folder / "machines").mkdir(parents=True)
    for number in range(DAYS):
        machines_in(folder).write(shift(FIRST, number), 0)
    tags = {
        "dagster/asset_partition_range_start": FIRST,
        "dagster/asset_partition_range_end": LAST,
    }
    with open_instance(folder / "dagster") as instance:
        dg.materialize(mill().assets, resources=resources_in(folder), instance=instance, tags=tags)


if __name__ == "__main__":
    prepare(Path(os.environ[FOLDER]))
