"""The kinds of models that can be stored: for each its file, how MLflow's files are written beside it, and how it is read.

A flavor is a row of `FLAVORS`; what it needs is imported when a model of it is written or read.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lakeline.errors import MissingExtraError, ModelError, names

if TYPE_CHECKING:
    import polars as pl

    from lakeline.models.training import TrainedModel


class UnknownFlavorError(ModelError):
    """A model is stored in a way that this release does not know."""

    def __init__(self, name: str, flavor: str, known: Iterable[str]) -> None:
        super().__init__(
            f"Model '{name}' is of flavor '{flavor}', and this lakeline reads {names(known)}. "
            "Install the release of lakeline that registered it, or train it again and promote that version."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Flavor:
    """One kind of stored model.

    Attributes:
        name: As models carry it.
        file: Name of the file with the payload.
        module: Where `save` and `restore` of this kind are.
        extra: Of the packages that it needs; empty where every installation has them.
        needs: Package whose absence means that the extra is missing.
    """

    name: str
    file: str
    module: str
    extra: str = ""
    needs: str = ""

    def save(
        self, model: "TrainedModel", folder: Path, *, entry: object, example: "pl.DataFrame"
    ) -> None:
        """Write what MLflow's tools load this kind of model from.

        Raises:
            MissingExtraError: What the flavor needs is not installed.
        """
        self._call("save", model, folder, entry=entry, example=example)

    def restore(self, name: str, described: Mapping[str, Any], payload: bytes) -> "TrainedModel":
        """The model of a description and a payload.

        Args:
            name: What it is called.
            described: Its ``description``, as it was written.
            payload: Its ``payload``.

        Raises:
            MissingExtraError: What the flavor needs is not installed.
        """
        found: TrainedModel = self._call("restore", name, described, payload)
        return found

    def _call(self, function: str, *arguments: object, **named: object) -> Any:
        try:
            if self.needs:
                import_module(self.needs)
            call: Callable[..., Any] = getattr(import_module(self.module), function)
        except ModuleNotFoundError as error:
            if error.name != self.needs:
                raise
            raise MissingExtraError(f"A model of flavor '{self.name}'", self.extra) from error
        return call(*arguments, **named)


FLAVORS: Mapping[str, Flavor] = MappingProxyType(
    {
        one.name: one
        for one in (
            Flavor(name="lightgbm", file="model.lgb", module="lakeline.models.booster_files"),
            Flavor(
                name="torch",
                file="network.safetensors",
                module="lakeline.neural.files",
                extra="torch",
                needs="torch",
            ),
        )
    }
)
"""Every flavor by its name."""


def flavor_named(flavor: str, *, of: str) -> Flavor:
    """One of `FLAVORS`.

    Args:
        flavor: Its name.
        of: Name of the model that has it, for the message.

    Raises:
        UnknownFlavorError: There is none of the name.
    """
    if flavor not in FLAVORS:
        raise UnknownFlavorError(of, flavor, FLAVORS)
    return FLAVORS[flavor]
