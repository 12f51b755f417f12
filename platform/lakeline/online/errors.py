"""Errors of the online store: each says which view or store, what is wrong with it, and what to do.

OnlineError
├── StoreDownError          the server or file cannot be reached
├── StoreFullError          it takes no more rows
├── NotMaterialisedError    a view has no rows yet
│   └── HalfWrittenError    its first filling has begun and not ended
├── LayoutChangedError      its rows were written with other columns
├── CorruptRowError         a row is not what its layout says
├── UnknownFeatureError     a view has no such feature
├── EntityError             a request or a frame names its entities wrongly
└── RowsError               a frame cannot become rows of a view
"""

import difflib
from collections.abc import Iterable, Sequence

from lakeline.errors import ModelError, SettingsError, names


class OnlineError(ModelError):
    """What can go wrong between features and those who read them online."""


class OnlineUrlError(SettingsError):
    """A url that names no online store."""

    def __init__(self, url: str) -> None:
        super().__init__(
            f"'{url}' names no online store. Use sqlite:///path/to/online.db or redis://host:port/db."
        )


class StoreDownError(OnlineError):
    """An online store cannot be reached."""

    can_retry = True

    def __init__(self, where: str, cause: Exception) -> None:
        super().__init__(
            f"The online store at {where} does not answer: {str(cause).rstrip('.')}. "
            "Start it, or mend the url."
        )


class StoreFullError(OnlineError):
    """An online store takes no more rows."""

    can_retry = True

    def __init__(self, where: str, cause: Exception) -> None:
        super().__init__(
            f"The online store at {where} is full: {cause}. This write did not end: rows beyond the first 500 of it "
            "may be missing, each that is in is whole, and no watermark moved. Give it more memory or disk, or drop views that nobody reads; then run the materialisation again."
        )


class NotMaterialisedError(OnlineError):
    """A view is read that nothing was ever written to."""

    def __init__(self, view: str, where: str) -> None:
        self.view = view
        super().__init__(
            f"View '{view}' was never materialised to {where}. Materialise it, or push rows to it, before it is read."
        )


class HalfWrittenError(NotMaterialisedError):
    """A view is read whose first materialisation has not ended."""

    def __init__(self, view: str, where: str, *, held: int, pending: int) -> None:
        OnlineError.__init__(
            self,
            f"View '{view}' at {where} is half written: {held} partitions of its first materialisation are in, "
            f"{pending} are not. Wait for it to end, or run it again if it was killed.",
        )
        self.view = view


class LayoutChangedError(OnlineError):
    """A view's rows were written with other columns than the reader or writer expects."""

    def __init__(self, view: str, where: str, changes: Sequence[str]) -> None:
        self.view, self.changes = view, tuple(changes)
        super().__init__(
            f"View '{view}' at {where} has rows of another layout: {'; '.join(changes)}. Build readers and writers from the "
            "view as it is there, or materialise the view as it is here."
        )


class CorruptRowError(OnlineError):
    """A row is shorter or longer than its layout says."""

    def __init__(self, view: str, found: int, least: int) -> None:
        super().__init__(
            f"View '{view}' has a row of {found} bytes, and its layout takes {least}. Something else wrote to the store: "
            "drop the view and materialise it again."
        )


class UnknownFeatureError(OnlineError):
    """A view has no such feature."""

    def __init__(self, view: str, feature: str, has: Iterable[str]) -> None:
        known = sorted(has)
        close = difflib.get_close_matches(feature, known, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        super().__init__(
            f"View '{view}' has no feature {feature}. {hint}It has {names(known, 40)}."
        )


class FeatureNameClashError(OnlineError):
    """Two views of one reader have a feature of the same name."""

    def __init__(self, feature: str, views: Iterable[str]) -> None:
        super().__init__(
            f"Feature {feature} is in the views {names(views)}. Read it from one of them, or build the reader with "
            "full_names=True, which names columns VIEW__FEATURE."
        )


class EntityError(OnlineError):
    """Entities are missing, of the wrong type, or not as many as the others."""


class EntityMissingError(EntityError):
    """A request lacks a column of entities."""

    def __init__(self, view: str, entity: str, has: Iterable[str]) -> None:
        given = names(has) or "none"
        super().__init__(f"View '{view}' is read by {entity}. The request has {given}.")


class EntityTypeError(EntityError):
    """An entity has another type than its view says."""

    def __init__(self, view: str, entity: str, *, declared: str, found: str) -> None:
        super().__init__(
            f"View '{view}' has the entity {entity} as {declared}, and was given {found}. Convert it, or nothing would be "
            "found."
        )


class EntityLengthError(EntityError):
    """Columns of entities differ in length."""

    def __init__(self, lengths: dict[str, int]) -> None:
        told = names(f"{entity} has {rows}" for entity, rows in lengths.items())
        super().__init__(f"The entities of a request must have equally many rows: {told}.")


class RowsError(OnlineError):
    """A frame cannot become rows of a view."""

    def __init__(self, view: str, problem: str) -> None:
        super().__init__(f"Rows for view '{view}' cannot be written: {problem}.")


class ViewError(OnlineError):
    """A view is declared wrongly."""

    def __init__(self, view: str, problem: str) -> None:
        super().__init__(f"View '{view}' {problem}.")
