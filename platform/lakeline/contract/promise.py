"""What of a contract decides which rows are published; its words do not."""

from dataclasses import replace

from lakeline.contract.declaration import Contract


def promise(contract: type[Contract]) -> tuple[object, ...]:
    """Columns without their words, what a repeated key does, checks, and the Pandera model that it was made from."""
    columns = [replace(one, doc="", tags={}) for one in contract.columns.values()]
    made_from = () if contract.model is None else (contract.model,)
    return columns, contract.duplicates, contract.table_checks, *made_from
