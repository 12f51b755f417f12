"""Settings come from the environment, and a wrong one is named with the way out."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from lakeline.errors import SettingsError
from resources import build_resources
from resources.settings import PREFIX, Settings, UnknownSettingError, load_settings

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


def test_the_defaults_need_no_server() -> None:
    settings = load_settings()
    house = build_resources(settings)["lakehouse"]
    assert settings.state == ROOT / "state"
    assert house.catalog_uri == f"sqlite:///{ROOT}/state/lake/catalog.db"
    assert house.ledger_url == f"sqlite:///{ROOT}/state/lake/ledger.db"
    assert house.warehouse == f"{ROOT}/state/lake/warehouse"
    assert house.catalog_properties == {}


def test_building_resources_opens_nothing(tmp_path: Path) -> None:
    build_resources(Settings(state=tmp_path / "state"))
    assert not list(tmp_path.iterdir())


def test_the_environment_gives_the_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("LAKELINE_STATE", str(tmp_path))
    monkeypatch.setenv("LAKELINE_LEDGER_URL", "postgresql://u@db/ledger")
    monkeypatch.setenv("LAKELINE_REPLAY_SPEED", "3600")
    settings = load_settings()
    resources = build_resources(settings)
    assert settings.dagster_home == tmp_path / "dagster"
    assert resources["lakehouse"].ledger_url == "postgresql://u@db/ledger"
    assert resources["archive"].replay_speed == 3600.0


def test_an_empty_variable_is_as_one_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKELINE_REPORTS_PORT", "")
    assert load_settings().reports_port == 3001


def test_a_relative_state_folder_becomes_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    house = build_resources(Settings(state=Path("here")))["lakehouse"]
    assert house.warehouse == str(tmp_path / "here/lake/warehouse")


def test_an_unknown_setting_names_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKELINE_REPLAY_SPED", "3600")
    with pytest.raises(UnknownSettingError) as caught:
        load_settings()
    assert (
        str(caught.value)
        == "Unknown setting LAKELINE_REPLAY_SPED. Did you mean LAKELINE_REPLAY_SPEED?"
    )


def test_an_unknown_setting_like_no_other_lists_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKELINE_XYZ", "1")
    with pytest.raises(UnknownSettingError, match="Known are LAKELINE_STATE, LAKELINE_CATALOG_URI"):
        load_settings()


def test_the_window_of_a_dbt_run_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKELINE_START", "2013-01-01T00:00:00+00:00")
    load_settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("REPORTS_PORT", "none", "not 'none'"),
        ("REPORTS_PORT", "99999", "less than 65536, not '99999'"),
        ("REPLAY_SPEED", "-1", "greater than or equal to 0, not '-1'"),
        ("REPLAY_START", "soon", "'soon' is no moment. Write it as 2013-01-01T00:00"),
        ("LEDGER_URL", "ledger.db", "'ledger.db' is no address. Write it with its scheme"),
        ("CATALOG_URI", "/lake", "'/lake' is no address"),
        ("FLIGHTS_YEAR", "13", "greater than or equal to 1987, not '13'"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(PREFIX + name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert f"A setting cannot be used: {PREFIX}{name}: " in str(caught.value)
    assert said in str(caught.value)


def test_every_wrong_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKELINE_REPORTS_PORT", "0")
    monkeypatch.setenv("LAKELINE_REPLAY_SPEED", "fast")
    with pytest.raises(SettingsError, match=r"LAKELINE_REPORTS_PORT: .*; LAKELINE_REPLAY_SPEED: "):
        load_settings()


def test_settings_cannot_be_changed_or_invented() -> None:
    with pytest.raises(ValidationError):
        Settings().state = Path("/elsewhere")
    with pytest.raises(ValidationError, match="sate"):
        Settings(sate="here")  # type: ignore[call-arg]


def test_a_bucket_is_given_its_service_and_key_and_a_folder_is_not() -> None:
    told = {
        "s3_endpoint": "http://s3:8333",
        "s3_access_key_id": "me",
        "s3_secret_access_key": "hush",
    }
    assert Settings(warehouse="s3://lake", **told).catalog_properties == {  # type: ignore[arg-type]
        "s3.endpoint": "http://s3:8333",
        "s3.region": "us-east-1",
        "s3.access-key-id": "me",
        "s3.secret-access-key": "hush",
    }
    assert Settings(warehouse="/lake", **told).catalog_properties == {}  # type: ignore[arg-type]


def test_a_secret_is_not_shown() -> None:
    assert "hush" not in repr(Settings(s3_secret_access_key="hush"))


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())
