"""Calls of MLflow's client, whose failures to reach a registry become one error that says which registry, and why."""

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from lakeline.errors import ModelError

if TYPE_CHECKING:
    from mlflow import MlflowClient

FAR = ("requests.exceptions", "urllib3.exceptions", "sqlalchemy.exc", "botocore.exceptions")
"""Modules of errors that mean that something is not there, is full or is closed."""
FAILED_CALL = re.compile(
    r"API request to .* failed with exception|Response: \{'error_code': 5|error code 50[234]"
)


class RegistryUnavailableError(ModelError):
    """The registry, or the place of its files, does not answer."""

    can_retry = True

    def __init__(self, address: str, reason: str) -> None:
        self.reason = reason.strip()
        super().__init__(
            f"The model registry at {without_secret(address)} cannot be used: {self.reason}. Check that its server runs "
            "and that LAKELINE_REGISTRY_URI names it; without it models are kept in the state folder."
        )


def without_secret(address: str) -> str:
    """An address without the password in it.

    >>> without_secret("postgresql://me:secret@db/models")
    'postgresql://me:…@db/models'
    """
    return re.sub(r"(://[^/:@]*:)[^@/]*@", r"\1…@", address)


def answering(client: "MlflowClient", address: str) -> "MlflowClient":
    """The client, each call of which raises `RegistryUnavailableError` where the registry does not answer."""
    return cast("MlflowClient", _Answering(client, address))


def reason_of(error: BaseException) -> str | None:
    """Why a registry was not reached, in a sentence; None for an error of another kind."""
    from mlflow.exceptions import MlflowException

    cause: BaseException | None = error
    while cause is not None:
        is_far = type(cause).__module__.startswith(FAR) or isinstance(cause, ConnectionError)
        if is_far or (isinstance(cause, MlflowException) and FAILED_CALL.search(str(cause))):
            return _short(cause)
        cause = cause.__cause__
    return None


class _Answering:
    def __init__(self, client: "MlflowClient", address: str) -> None:
        self._client, self._address = client, address

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._client, name)
        return self._guarded(found) if callable(found) else found

    def _guarded(self, call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def guarded(*arguments: Any, **named: Any) -> Any:
            try:
                return call(*arguments, **named)
            except Exception as error:
                reason = reason_of(error)
                if reason is None:
                    raise
                raise RegistryUnavailableError(self._address, reason) from error

        return guarded


def _short(error: BaseException) -> str:
    """The end of a chain of wrapped errors, which says what happened, without the addresses of objects in it."""
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    found = re.search(r"Caused by (?:\w+\()?.*?(\w+Error)\(['\"].*?(?:: |')([^':\"]+)['\"]\)", said)
    return f"{found[1]}: {found[2].strip()}" if found else said[:300]
