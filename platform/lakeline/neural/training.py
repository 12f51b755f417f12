"""Train a network: the one function that a model asset calls. Light to import: torch comes when it is called."""

from typing import TYPE_CHECKING

from lakeline.neural.errors import require_torch
from lakeline.neural.plan import Plan

if TYPE_CHECKING:
    from lakeline.models.rows import Rows
    from lakeline.neural.model import NetworkModel


def train_network(train: "Rows", plan: Plan, *, name: str = "network") -> "NetworkModel":
    """A network for the label of ``train``; on a CPU equal arguments give equal bytes, however often it was interrupted.

    Checkpoints, reports and the device come from the `lakeline.models.surroundings` of the call.

    Args:
        train: Labelled rows. Those of a table are read into memory up to ``plan.memory_rows``, and streamed beyond.
        plan: How it is trained.
        name: What the model is called.

    Raises:
        MissingExtraError: torch is not installed.
        UnlabelledError: Some rows have no label.
        UntrainableError: There are no rows, or all have the same label.
        FeatureTypeError: A feature is neither a number nor declared categorical.
        LossError: The loss of a step is no number.
        DeviceError: The surroundings ask for a device that is not there.
        ProcessesError: The plan asks for several processes, and one of them failed.
    """
    from lakeline.models.surroundings import surroundings

    require_torch("Training a network")
    rows = train.in_memory() if train.count <= plan.memory_rows else train
    if plan.processes > 1:
        from lakeline.neural.processes import fit_apart

        return fit_apart(rows, plan, name=name, around=surroundings())
    from lakeline.neural.fit import fit

    return fit(rows, plan, name=name, around=surroundings())
