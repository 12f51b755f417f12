"""What can go wrong with a network: plans that cannot be, losses that are no number, processes that die."""

from collections.abc import Iterable

from lakeline.errors import MissingExtraError, ModelError, names


class PlanError(ModelError):
    """A field of a plan has a value that it cannot have."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        super().__init__(f"A plan cannot have {name}={value!r}. Make it {allowed}.")


class UnknownArchitectureError(ModelError):
    """A plan or a stored model names an architecture that nobody can build."""

    def __init__(self, name: str, known: Iterable[str], why: str = "") -> None:
        because = f" ({why})" if why else ""
        super().__init__(
            f"There is no architecture '{name}'{because}. Use {names(known)}, or name a function that can be imported as "
            "'module:function'."
        )


class LossError(ModelError):
    """The loss of a step is no number, so that no later step could mend the network."""

    def __init__(self, name: str, *, step: int, epoch: int, batch: int, kept: str | None) -> None:
        self.step, self.epoch, self.batch = step, epoch, batch
        left = f"The checkpoint {kept} is from before." if kept else "There is no checkpoint."
        super().__init__(
            f"The loss of '{name}' is no number at step {step}: batch {batch} of epoch {epoch}. {left} "
            "Lower learning_rate or clip_norm, or look for infinite features in that batch."
        )


class NoTensorsError(ModelError):
    """Weights that are no file of this format, or are cut off."""

    def __init__(self, why: str) -> None:
        super().__init__(f"These bytes hold no tensors: {why}.")


class DeviceError(ModelError):
    """A training is to run where it cannot."""

    def __init__(self, device: str, has: str) -> None:
        super().__init__(
            f"Training on '{device}' is not possible here: {has}. Use device 'auto', which takes what there is."
        )


class ProcessesError(ModelError):
    """A training on several processes ended without a model."""

    def __init__(self, name: str, processes: int, said: str) -> None:
        super().__init__(
            f"The {processes} processes that train '{name}' ended without a model: {said}"
        )


def require_torch(what: str) -> None:
    """Raise `MissingExtraError` where torch is not installed."""
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError(what, "torch") from error
