"""With what: the resources of this deployment, built from its settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from assets.flights.archive import FlightArchive
from assets.shop.archive import ShopArchive
from lakeline.compute.profile import Pods
from lakeline.deployment import Deployment, Timepiece
from lakeline.freshness.channels import Channel, LogChannel
from lakeline.resource import Lakehouse
from resources.settings import PREFIX, Settings, listed, load_settings

__all__ = ["Settings", "alert_channels", "build_resources", "load_settings"]


def build_resources(settings: Settings) -> dict[str, Any]:
    """Every resource that the assets ask for, by its key."""
    return {
        "lakehouse": lakehouse(settings),
        "archive": flight_archive(settings),
        "shop_archive": shop_archive(settings),
        "clock": timepiece(settings),
        "deployment": deployment(settings),
    }


def deployment(settings: Settings) -> Deployment:
    """Where everything that stays on this machine is, and the half year that the demo builds."""
    return Deployment(
        state=str(settings.state.absolute()),
        dagster_home=str(settings.dagster_home.absolute()),
        demo_from=f"{settings.flights_year}-01-01",
        demo_to=f"{settings.flights_year}-06-30",
        replay_anchor=str(replay_anchor(settings)),
        replay_start_variable=f"{PREFIX}REPLAY_START",
        replay_speed_variable=f"{PREFIX}REPLAY_SPEED",
    )


def replay_anchor(settings: Settings) -> Path:
    """File that remembers where the replay is."""
    return settings.state.absolute() / "replay.json"


def lakehouse(settings: Settings) -> Lakehouse:
    """Where everything is published to."""
    lake = settings.state.absolute() / "lake"
    return Lakehouse(
        catalog_uri=settings.catalog_uri or f"sqlite:///{lake / 'catalog.db'}",
        warehouse=settings.warehouse or str(lake / "warehouse"),
        locks=str(lake / "locks"),
        ledger_url=settings.ledger_url or f"sqlite:///{lake / 'ledger.db'}",
        models=str(settings.state.absolute() / "models"),
        reports=str(settings.state.absolute() / "reports"),
        reports_url=settings.reports_url,
        features=str(settings.state.absolute() / "features"),
        feature_registry=settings.feature_registry,
        registry_uri=settings.registry_uri,
        online_store=settings.online_store,
        catalog_properties=settings.catalog_properties,
        compute=settings.compute,
        pods=pods(settings),
    )


def pods(settings: Settings) -> Pods:
    """How pods are made in this deployment's cluster."""
    labels = [one.partition("=") for one in listed(settings.pods_spot_selector)]
    return Pods(
        image=settings.pods_image,
        namespace=settings.pods_namespace,
        kubeconfig=settings.pods_kubeconfig,
        context=settings.pods_context,
        service_account=settings.pods_service_account,
        env_from=listed(settings.pods_env_from),
        gpu_tolerations=listed(settings.pods_gpu_tolerations),
        spot_selector={key: value for key, _, value in labels},
        spot_tolerations=listed(settings.pods_spot_tolerations),
        start_timeout_s=settings.pods_start_timeout_s,
        preemptions=settings.pods_preemptions,
        grace_s=settings.pods_grace_s,
    )


def alert_channels(settings: Settings) -> tuple[Channel, ...]:
    """Where alerts go: always to the log, and to what the settings name.

    They are no resource of Dagster's, because its UI shows how resources are configured.
    """
    on_the_web = settings.alert_webhook or settings.alert_slack
    return (LogChannel(), *(_webhooks(settings) if on_the_web else ()))


def _webhooks(settings: Settings) -> Iterator[Channel]:
    from lakeline.freshness.webhooks import SlackChannel, WebhookChannel

    if settings.alert_webhook:
        yield WebhookChannel(url=settings.alert_webhook)
    if settings.alert_slack:
        yield SlackChannel(url=settings.alert_slack)


def timepiece(settings: Settings) -> Timepiece:
    """What time it is."""
    return Timepiece(
        replay_start=settings.replay_start,
        replay_speed=settings.replay_speed,
        replay_anchor=str(replay_anchor(settings)),
    )


def flight_archive(settings: Settings) -> FlightArchive:
    """The flights files, behind the clock."""
    return FlightArchive(
        folder=settings.flights_folder,
        replay_start=settings.replay_start,
        replay_speed=settings.replay_speed,
        replay_anchor=str(replay_anchor(settings)),
        replay_can_jump=True,
    )


def shop_archive(settings: Settings) -> ShopArchive:
    """The shop's logs, behind the clock; of another year than the flights, so that a replay of those is none of its own."""
    return ShopArchive(
        folder=settings.shop_folder,
        replay_start=settings.replay_start,
        replay_speed=settings.replay_speed,
        replay_anchor=str(replay_anchor(settings)) if settings.replay_start else "",
    )
