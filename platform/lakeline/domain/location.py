"""A code location told to another process: where its definitions are, and the resources that they have there."""

from collections.abc import Mapping
from typing import Any

import dagster as dg


def location_of(run: dg.DagsterRun) -> str:
    """Where the code of a run is, as Dagster writes it down; empty for a run that was made from objects in memory."""
    if run.job_code_origin is None:
        return ""
    pointer: Any = run.job_code_origin.repository_origin.code_pointer
    return dg.serialize_value(pointer)


def resources_of(location: str) -> Mapping[str, Any]:
    """The resources of a code location, by key; of the project of the current folder where ``location`` is empty."""
    if not location:
        from lakeline.project import load_project

        return dict(load_project().definitions.resources or {})
    from dagster._core.code_pointer import CodePointer
    from dagster._core.definitions.reconstruct import initialize_repository_def_from_pointer

    pointer = dg.deserialize_value(location)
    assert isinstance(pointer, CodePointer)
    return initialize_repository_def_from_pointer(pointer).get_top_level_resources()
