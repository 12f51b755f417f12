"""The capsule of a model version: everything that it takes to build it again, as one JSON file beside the model."""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from lakeline.errors import ModelError
from lakeline.models.environment import Environment
from lakeline.models.learning import Learning

CAPSULE_FILE = "capsule.json"
CAPSULE = "lakeline.capsule"
"""Tag of a version: SHA-256 of its capsule, in hexadecimal."""

FORMAT = 1


class NoCapsuleError(ModelError):
    """A version was registered without a capsule."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            f"Version {version} of model '{name}' has no capsule: what it learned from was not written down. "
            "Train the model again; its new version has one."
        )


class TamperedCapsuleError(ModelError):
    """A capsule is not the one that was registered with its version."""

    def __init__(self, name: str, version: int, why: str) -> None:
        super().__init__(
            f"The capsule of version {version} of model '{name}' {why}, so that it proves nothing. "
            f"Restore {CAPSULE_FILE} among the files of the version from a copy."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """What a version learned from.

    Attributes:
        table: Its training set, ``namespace.table``.
        snapshot_id: The snapshot that was read.
        columns: What was read of it, in order.
        read_from: Event time that was read: from here, included.
        read_until: Up to here, excluded.
        learned_until: End of the training window; a row counts whose label was known by then.
        judged_from: Days that judged it: from here, included.
        judged_until: Up to here, excluded.
        rows: Rows that it learned from.
        content: Hash of those rows, equal for equal rows in any order.
    """

    table: str
    snapshot_id: int
    columns: tuple[str, ...]
    read_from: dt.datetime
    read_until: dt.datetime
    learned_until: dt.datetime
    judged_from: dt.datetime
    judged_until: dt.datetime
    rows: int
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Capsule:
    """What it takes to build a model version again.

    Attributes:
        asset: The model asset, ``domain/name``.
        digest: SHA-256 of what was trained.
        judged_digest: SHA-256 of the model whose metrics were registered; another one where the winner was refitted.
        data: What it learned from.
        learning: What the model's declaration said.
        seed: Seed of everything random in the training.
        params: Parameters of the trained model.
        code_version: Hash of the function that trained, and of what that calls.
        environment: With what, and where.
        chosen: Settings that a search found and the function was given; those before searches have none.
    """

    asset: str
    digest: str
    judged_digest: str
    data: Data
    learning: Learning
    seed: int
    params: Mapping[str, Any]
    code_version: str
    environment: Environment
    chosen: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """As text that :func:`parse_capsule` reads; equal capsules give equal text."""
        told = {"format": FORMAT, **asdict(self)}
        return json.dumps(told, indent=2, sort_keys=True, ensure_ascii=False, default=_plain)


def parse_capsule(text: str) -> Capsule:
    """A capsule from its text.

    Raises:
        ValueError: It is no capsule, or one of another format.
    """
    told = json.loads(text)
    if not isinstance(told, dict) or told.pop("format", None) != FORMAT:
        raise ValueError(f"it is not of format {FORMAT}")
    try:
        parts: dict[str, Any] = {
            "data": _data(told["data"]),
            "learning": Learning(**_with_tuples(told["learning"])),
            "environment": Environment(**told["environment"]),
        }
        return Capsule(**told | parts)
    except (KeyError, TypeError) as error:
        raise ValueError(f"it lacks or has too much: {error}") from error


def checked_capsule(name: str, version: int, text: str, *, sha256: str, digest: str) -> Capsule:
    """The capsule of a version, if it is the one that was registered.

    Args:
        name: The registered model.
        version: Its number.
        text: The file.
        sha256: What the registry has of it.
        digest: What the registry has of the model.

    Raises:
        TamperedCapsuleError: It is another one.
    """
    if digest_of(text) != sha256:
        raise TamperedCapsuleError(name, version, "was changed since it was registered")
    try:
        found = parse_capsule(text)
    except ValueError as error:
        raise TamperedCapsuleError(name, version, f"cannot be read: {error}") from error
    if found.digest != digest:
        raise TamperedCapsuleError(name, version, "is that of another model")
    return found


def digest_of(text: str) -> str:
    """SHA-256 of a capsule's text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)


def _data(told: dict[str, Any]) -> Data:
    moments: dict[str, Any] = {
        name: dt.datetime.fromisoformat(told[name])
        for name in ("read_from", "read_until", "learned_until", "judged_from", "judged_until")
    }
    return Data(**_with_tuples(told) | moments)


def _with_tuples(told: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(one) if isinstance(one, list) else one for name, one in told.items()}
