"""Feast's online store on lakeline's: rows packed by view, in SQLite or Redis, read by Feast's API and the direct reader alike.

In ``feature_store.yaml``::

    online_store:
      type: lakeline.feast.online.LakelineOnlineStore
      url: redis://localhost:6379/0        # or sqlite:///data/online.db

What differs from Feast's own stores, on purpose: a value older than its view's time to live is not given out; an event that
arrives late changes nothing, in every store and with every writer; a row is written as a whole, so that features absent from
a batch become null. Where a view's features change, ``feast apply`` carries its rows over.
"""

import asyncio
import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from feast import Entity, FeatureView, RepoConfig
from feast.infra.online_stores.online_store import OnlineStore as FeastOnlineStore
from feast.infra.supported_async_methods import SupportedAsyncMethods
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.repo_config import FeastConfigBaseModel
from pydantic import StrictStr

from lakeline.feast.online_values import (
    CREATED,
    Read,
    Row,
    frame_of,
    keys_from,
    reads_of,
    view_of,
)
from lakeline.online import OnlineStore, View, open_store
from lakeline.online.answer import Block, Wanted
from lakeline.online.errors import LayoutChangedError, UnknownFeatureError
from lakeline.online.migrating import migrate
from lakeline.online.rows import micros, pack
from lakeline.online.store import Found, other_layout

__all__ = ["LakelineOnlineStore", "LakelineOnlineStoreConfig", "online_store_of", "view_of"]

SQLITE = "sqlite:///"


class LakelineOnlineStoreConfig(FeastConfigBaseModel):
    """Settings of `LakelineOnlineStore`."""

    type: Literal["lakeline.feast.online.LakelineOnlineStore"] = (
        "lakeline.feast.online.LakelineOnlineStore"
    )
    url: StrictStr = "sqlite:///data/online.db"
    """``sqlite:///path``, relative to the repository, or ``redis://host:port/db``."""
    prefix: StrictStr = ""
    """Keeps views of several projects in one store apart; the project's name by default."""
    as_of: StrictStr = ""
    """ISO timestamp against which values expire, for recorded data; the system's clock by default."""


class LakelineOnlineStore(FeastOnlineStore):
    """Feast's interface to `lakeline.online`."""

    def __init__(self) -> None:
        self._stores: dict[tuple[str, str, str, str], OnlineStore] = {}

    @property
    def async_supported(self) -> SupportedAsyncMethods:
        """Reads and writes may be awaited."""
        return SupportedAsyncMethods(read=True, write=True)

    def online_write_batch(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Write rows: of an entity the newest event wins, of equals the later created, then the later written.

        So whatever is materialised in whatever order, a correction is not taken back by the row that it corrects.
        """
        view = view_of(table)
        self._store(config).write(view, pack(view, frame_of(view, data), created=CREATED))
        if progress:
            progress(len(data))

    async def online_write_batch_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        data: list[Row],
        progress: Callable[[int], Any] | None,
    ) -> None:
        """`online_write_batch` in a thread."""
        await asyncio.to_thread(self.online_write_batch, config, table, data, progress)

    def online_read(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[Read]:
        """Event time and values of each entity; no values where there is no row, or it is too old."""
        view, store = view_of(table), self._store(config)
        (found,) = store.fetch([(view, keys_from(view, entity_keys))])
        return _reads(config, store, view, found, requested_features)

    async def online_read_async(
        self,
        config: RepoConfig,
        table: FeatureView,
        entity_keys: list[EntityKey],
        requested_features: list[str] | None = None,
    ) -> list[Read]:
        """`online_read` for an event loop."""
        view, store = view_of(table), self._store(config)
        (found,) = await store.fetch_async([(view, keys_from(view, entity_keys))])
        return _reads(config, store, view, found, requested_features)

    def update(
        self,
        config: RepoConfig,
        tables_to_delete: Sequence[FeatureView],
        tables_to_keep: Sequence[FeatureView],
        entities_to_delete: Sequence[Entity],
        entities_to_keep: Sequence[Entity],
        partial: bool,  # noqa: FBT001 - Feast's signature
    ) -> None:
        """Drop views that are no more, and carry rows over where features changed."""
        store, kept = self._store(config), {table.name for table in tables_to_keep}
        for table in tables_to_delete:
            if table.name not in kept:
                store.drop(table.name)
        for table in tables_to_keep:
            if table.features:  # a view may be without until its source was looked at
                migrate(store, view_of(table))

    def teardown(
        self, config: RepoConfig, tables: Sequence[FeatureView], entities: Sequence[Entity]
    ) -> None:
        """Drop views."""
        for table in tables:
            self._store(config).drop(table.name)

    async def close(self) -> None:
        """Close the connections of the event loop that runs, and of this process."""
        for store in self._stores.values():
            await store.close_async()
            store.close()

    def _store(self, config: RepoConfig) -> OnlineStore:
        settings = _settings(config)
        where = (settings.url, settings.prefix, config.project, str(config.repo_path))
        if where not in self._stores:
            self._stores[where] = online_store_of(config)
        return self._stores[where]


def online_store_of(config: RepoConfig) -> OnlineStore:
    """The store that a repository's settings name, for `lakeline.online.Reader` and `materialise`.

    Raises:
        OnlineUrlError: The url names no online store.
    """
    url, prefix = _place(config)
    return open_store(url, prefix=prefix)


def _place(config: RepoConfig) -> tuple[str, str]:
    """Url and prefix of a repository's online store."""
    settings = _settings(config)
    url = settings.url
    path = Path(url.removeprefix(SQLITE))
    if url.startswith(SQLITE) and config.repo_path and not path.is_absolute():
        url = f"{SQLITE}{Path(config.repo_path) / path}"
    return url, settings.prefix or config.project


def _settings(config: RepoConfig) -> LakelineOnlineStoreConfig:
    settings = config.online_store
    assert isinstance(settings, LakelineOnlineStoreConfig)
    return settings


def _reads(
    config: RepoConfig,
    store: OnlineStore,
    view: View,
    found: Found,
    requested: Sequence[str] | None,
) -> list[Read]:
    header, values = found
    names = list(requested or view.features)
    for name in names:
        if name not in view.features:
            raise UnknownFeatureError(view.name, name, view.features)
    if header is None:
        other = other_layout(store, view)
        if other is not None:
            raise LayoutChangedError(view.name, store.where, view.layout.changes_to(other))
        return [(None, None)] * len(values)
    as_of = _settings(config).as_of
    now = dt.datetime.fromisoformat(as_of) if as_of else dt.datetime.now(dt.UTC)
    block = Block(Wanted(view, {name: name for name in names}), values, header, micros(now))
    return reads_of(block, view, names)
