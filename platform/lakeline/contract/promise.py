"""What of a contract decides which rows are published."""

from lakeline.contract.declaration import Contract


def promise(contract: type[Contract]) -> tuple[object, ...]:
    """Columns, what a repeated key does, checks, and the Pandera model that it was made from."""
    made_from = () if contract.model is None else (contract.model,)
    return list(contract.columns.values()), contract.duplicates, contract.table_checks, *made_from
