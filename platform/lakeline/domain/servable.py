"""The ONNX form of a version that is registered already, checked on the rows that the version learned from."""

from typing import TYPE_CHECKING

from lakeline.domain.node import Node
from lakeline.domain.rebuilding import past_rows, require_snapshot
from lakeline.models.servable import ServableForm, servable_form

if TYPE_CHECKING:
    from lakeline.resource import Lakehouse


def make_servable(house: "Lakehouse", node: Node, number: int) -> ServableForm:
    """Make the form of a version, check it and put it beside the version; done again it replaces the form.

    Args:
        house: Where the model and its rows are.
        node: The model asset.
        number: Of the version.

    Raises:
        UnknownModelError: There is no such version.
        NoCapsuleError: Nothing says what it learned from.
        SnapshotGoneError: Those rows are gone.
        CorruptModelError: Its files are.
    """
    capsule = house.registry.capsule(node.table, number)
    require_snapshot(house.lake, number, capsule)
    model = house.registry.load(node.table, number)
    again = f"lakeline servable {node.asset}@{number}"
    rows = past_rows(house.lake, capsule, capsule.data.learned_until)
    form = servable_form(model, rows.frame, again=again)
    house.registry.add_form(node.table, number, form)
    return form
