"""Every error a user can meet, as one family: each class takes its culprits as data and says what, which one and what to do.

LakelineError
├── SettingsError        a setting is unknown or cannot work
│   └── MissingExtraError
├── ContractError        a table is declared wrongly, or data breaks the declaration
├── LakeError            a table, a file or a commit
├── LedgerError          what partitions were built from
├── DomainError          how assets are declared and what their functions read
├── SourceError          where raw data comes from
├── ComputeError         where a build runs and what it may use
└── ModelError           features, training, registry, reports
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from lakeline.contract.report import Violation


class LakelineError(Exception):
    """Base of every error that lakeline raises on purpose.

    Attributes:
        can_retry: Whether the same run, tried again, may succeed.
    """

    can_retry: ClassVar[bool] = False


def names(items: Iterable[str], limit: int = 8) -> str:
    """Comma-separated names, cut after ``limit`` with the number left out.

    >>> names(["a", "b"])
    'a, b'
    >>> names([str(i) for i in range(10)], limit=2)
    '0, 1 and 8 more'
    """
    found = list(items)
    shown = ", ".join(found[:limit])
    return shown if len(found) <= limit else f"{shown} and {len(found) - limit} more"


# --- settings ---------------------------------------------------------------------------------


class SettingsError(LakelineError):
    """A setting is unknown or cannot work."""


class MissingExtraError(SettingsError):
    """A part of lakeline needs packages that are not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs more packages. Run: pip install 'lakeline[{extra}]' (in a clone: make setup-{extra})"
        )


# --- contract ---------------------------------------------------------------------------------


class ContractError(LakelineError):
    """A table is declared wrongly, or data breaks the declaration."""


class DeclarationError(ContractError):
    """A contract contradicts itself or says something that cannot be compiled."""

    def __init__(self, contract: str, column: str | None, problem: str) -> None:
        self.contract, self.column = contract, column
        where = f", column '{column}'" if column else ""
        super().__init__(f"Contract {contract}{where} {problem}")


class MissingColumns(ContractError):  # noqa: N818 - reads as the finding that it is
    """A frame lacks columns of its table's contract."""

    def __init__(
        self, table: str, missing: Iterable[str], present: Iterable[str], contract: str
    ) -> None:
        self.table, self.missing = table, tuple(missing)
        super().__init__(
            f"Table '{table}': the frame has no column {names(self.missing)}. It has "
            f"{names(present)}. Return the column, or take it out of {contract}."
        )


class ExtraColumns(ContractError):  # noqa: N818 - reads as the finding that it is
    """A frame has columns that its table's contract does not know."""

    def __init__(
        self, table: str, extra: Iterable[str], declared: Iterable[str], contract: str
    ) -> None:
        self.table, self.extra = table, tuple(extra)
        super().__init__(
            f"Table '{table}': the frame has the column {names(self.extra)}, which {contract} does not "
            f"declare. It declares {names(declared)}. Drop the column, or add it to {contract}."
        )


class WrongType(ContractError):  # noqa: N818 - reads as the finding that it is
    """A column holds another type than declared, and no lossless cast leads there.

    Args:
        wrong: For each column its name, the type it has, the type declared, and why or what to do.
    """

    def __init__(
        self, table: str, wrong: Iterable[tuple[str, str, str, str]], contract: str
    ) -> None:
        self.table, self.wrong = table, tuple(wrong)
        lines = [
            f"column {column} is {found}, and {contract} says {declared}: {advice}"
            for column, found, declared, advice in self.wrong
        ]
        super().__init__(f"Table '{table}': " + "; ".join(lines))


class CheckError(ContractError):
    """A Pandera check attached to a contract could not run."""

    def __init__(self, contract: str, check: str, cause: Exception) -> None:
        self.contract, self.check = contract, check
        super().__init__(
            f"Check '{check}' of {contract} raised {type(cause).__name__}: {cause}. "
            "It gets the Polars data of the table and returns a LazyFrame of booleans, or a bool."
        )


class EvolutionError(ContractError):
    """A contract asks a table for a change that would break its readers.

    Args:
        refused: For each change its column, what the table has, what the contract has, and the way out.
    """

    def __init__(
        self, table: str, contract: str, refused: Iterable[tuple[str, str, str, str]]
    ) -> None:
        self.table, self.refused = table, tuple(refused)
        lines = [
            f"{changed}: {old} -> {new}. {way_out}" for changed, old, new, way_out in self.refused
        ]
        super().__init__(f"Table '{table}' cannot follow {contract}: " + " ".join(lines))


# --- lake -------------------------------------------------------------------------------------


class LakeError(LakelineError):
    """A table, a file or a commit of the lake."""


class AuditError(LakeError):
    """Rows are not what their contract promises; nothing was published.

    Attributes:
        violations: The broken rules.
    """

    violations: "tuple[Violation, ...]" = ()


# --- ledger -----------------------------------------------------------------------------------


class LedgerError(LakelineError):
    """The record of what partitions were built from."""


class UnknownBatchError(LedgerError):
    """A batch is published or abandoned that never began."""

    def __init__(self, batch: str) -> None:
        super().__init__(
            f"The ledger knows no batch {batch!r}. Call begin() with its builds before the lake is committed."
        )


class RepeatedBatchError(LedgerError):
    """A batch begins under an id that an earlier one has taken."""

    def __init__(self, batch: str) -> None:
        super().__init__(
            f"Batch {batch!r} is in the ledger already. Give every publish an id of its own, such as a uuid."
        )


class EmptyBatchError(LedgerError):
    """A batch begins with nothing to build."""

    def __init__(self, batch: str) -> None:
        super().__init__(
            f"Batch {batch!r} has no builds. Begin a batch only when a partition is to be published."
        )


class MixedBatchError(LedgerError):
    """A batch holds builds of more than one asset, though it is one commit to one table."""

    def __init__(self, batch: str, assets: Iterable[str]) -> None:
        super().__init__(
            f"Batch {batch!r} builds several assets: {names(assets)}. Begin one batch for each."
        )


class RepeatedPartitionError(LedgerError):
    """A batch holds two builds of one partition."""

    def __init__(self, batch: str, asset: str, partitions: Iterable[str]) -> None:
        super().__init__(
            f"Batch {batch!r} builds partitions of {asset!r} twice: {names(partitions)}. "
            "Keep one build for each partition."
        )


class NaiveTimeError(LedgerError):
    """A time without a time zone, which could mean any hour."""

    def __init__(self, value: object) -> None:
        super().__init__(
            f"The ledger keeps aware times, and {value} has no time zone. Make it with datetime(..., tzinfo=UTC)."
        )


class LedgerUnavailableError(LedgerError):
    """The database of the ledger does not answer, is locked, full or not a database."""

    can_retry = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(
            f"The ledger at {url} cannot be used: {reason.strip()}. For SQLite check that the folder can be "
            "written, the disk has room and no process holds the file; for Postgres that the server runs."
        )


class LedgerSchemaError(LedgerError):
    """The ledger was written by a release of lakeline with other tables."""

    def __init__(self, url: str, found: int, known: int) -> None:
        super().__init__(
            f"The ledger at {url} has tables of version {found}, and this lakeline knows version {known}. "
            "Use the release of lakeline that wrote it, or point the ledger at an empty database."
        )


# --- domain -----------------------------------------------------------------------------------


class DomainError(LakelineError):
    """How assets are declared and what their functions read."""


# --- sources ----------------------------------------------------------------------------------


class SourceError(LakelineError):
    """Where raw data comes from."""


# --- models -----------------------------------------------------------------------------------


class ComputeError(LakelineError):
    """Where a build runs, and what it may use there."""


class ModelError(LakelineError):
    """Features, training, registry and reports."""


class ColumnsMissingError(ModelError):
    """A frame lacks columns that a feature source, a training set or a model names."""

    def __init__(self, where: str, missing: Iterable[str], has: Iterable[str]) -> None:
        super().__init__(f"{where} has no column {names(missing)}. It has {names(has, 40)}.")


class FeatureClashError(ModelError):
    """Two sources of one join would write the same column."""

    def __init__(self, clashes: dict[str, list[str]]) -> None:
        told = "; ".join(f"{feature} from {names(where)}" for feature, where in clashes.items())
        super().__init__(
            f"A point-in-time join would write columns twice: {told}. Rename them in one of the sources."
        )


class NotAMomentError(ModelError):
    """A time column does not say an instant."""

    def __init__(self, where: str, column: str, dtype: str) -> None:
        super().__init__(
            f"{where} has {column} as {dtype}, and a point-in-time join needs an instant. "
            "Make it a timestamp with the time zone UTC."
        )


class KeyTypeError(ModelError):
    """A key has one type in the entities and another in a feature source."""

    def __init__(self, source: str, key: str, *, source_type: str, entity_type: str) -> None:
        super().__init__(
            f"Feature source '{source}' has the key {key} as {source_type}, the entities have it as "
            f"{entity_type}. Cast one of them, or nothing would match."
        )


class FeatureTypeError(ModelError):
    """A feature is no number, and nobody said that it is categorical."""

    def __init__(self, column: str, dtype: str) -> None:
        super().__init__(
            f"Feature {column} is {dtype}, and a model reads numbers. Declare it categorical, or turn it into a number."
        )


class UnlabelledError(ModelError):
    """Rows without a label were given to training or evaluation."""

    def __init__(self, label: str, nulls: int, rows: int) -> None:
        super().__init__(
            f"{nulls:,} of {rows:,} rows have no {label}. "
            "Leave them out with TrainingSet.labelled(), or wait for their labels."
        )


class UntrainableError(ModelError):
    """A training set from which no model can be trained."""

    def __init__(self, label: str, rows: int, why: str) -> None:
        super().__init__(
            f"No model can be trained on {rows:,} rows: {why}. "
            f"Widen the training window until {label} takes both values."
        )


class EvaluationError(ModelError):
    """Labels and scores that cannot be compared."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Labels and scores cannot be compared: {why}.")


class ModelNameError(ModelError):
    """A name that the model registry cannot hold."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'{name}' cannot name a registered model. "
            "Use letters, digits, dots, underscores and dashes, and begin with a letter."
        )


class UnknownModelError(ModelError):
    """The registry has no such model, version or alias."""

    def __init__(self, name: str, which: str, has: Iterable[str]) -> None:
        known = names(has) or "no version yet"
        super().__init__(f"The registry has no model '{name}' at '{which}'. It has {known}.")


class CorruptModelError(ModelError):
    """A model's files are gone, or are not the ones that were registered."""

    def __init__(self, name: str, version: int, why: str) -> None:
        super().__init__(
            f"Version {version} of model '{name}' cannot be loaded: {why}. "
            "Restore its files, or train it again and promote that version."
        )


class PageNameError(ModelError):
    """A name that cannot be a page's path."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"'{name}' cannot name a page. Use parts of letters, digits, dots, underscores and dashes, joined by '/'."
        )
