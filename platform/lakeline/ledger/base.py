"""What every part of the ledger's face stands on: one database, by its URL."""

from typing import Self

from lakeline.ledger.engine import Database


class LedgerBase:
    """A ledger that can be opened, closed and pickled."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._database = Database(url)

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.url,)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._database.safe_url!r})"

    def close(self) -> None:
        """Close its connections. A later call opens new ones."""
        self._database.close()
