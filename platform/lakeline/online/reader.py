"""The direct reader: features of some entities in one round trip, without Feast."""

import datetime as dt
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lakeline.online.answer import Answer, Block, Plan
from lakeline.online.errors import EntityLengthError, FeatureNameClashError, UnknownFeatureError
from lakeline.online.keys import keys_of
from lakeline.online.rows import micros
from lakeline.online.store import PREFIX, Found, OnlineStore, explain_unreadable, open_store
from lakeline.online.view import View


class Reader:
    """Reads features of views from an online store; safe with threads.

    >>> view = View(name="backlog", entities={"origin": "string"}, features={"late": "float32"})
    >>> Reader([(view, ["late"])], "redis://localhost:6379/0").names
    ('late',)

    Args:
        wanted: Views with the features to read of each; without a list, all of them.
        url: Where the online store is, or the store.
        prefix: Of the store, where a url is given.
        full_names: Name columns ``VIEW__FEATURE``, as Feast does on demand, instead of by the feature alone.

    Raises:
        UnknownFeatureError: A view has no such feature.
        FeatureNameClashError: Two views have a feature of the same name, and ``full_names`` is false.
        OnlineUrlError: The url names no online store.
    """

    def __init__(
        self,
        wanted: Iterable[tuple[View, Sequence[str] | None]],
        url: str | OnlineStore,
        *,
        prefix: str = PREFIX,
        full_names: bool = False,
    ) -> None:
        chosen = [(view, list(view.features if names is None else names)) for view, names in wanted]
        views = [view for view, _ in chosen]
        self._plan = Plan(list(zip(views, _named(chosen, is_full=full_names), strict=True)))
        self.names = self._plan.names
        self._store = open_store(url, prefix=prefix) if isinstance(url, str) else url

    def read(self, entities: Mapping[str, Any], now: dt.datetime | None = None) -> Answer:
        """Features of each entity row, in the rows' order.

        Args:
            entities: For each entity of the views a list, array or column, all equally long. Where all views do without
                entities, the answer has one row.
            now: Moment against which rows expire; the system's clock by default.

        Raises:
            EntityError: An entity is missing or of the wrong type, or lengths differ.
            NotMaterialisedError: Nothing was ever written to a view, or its first materialisation has not ended.
            LayoutChangedError: A view's rows have another layout than the reader's.
            StoreDownError: The store cannot be reached.
        """
        now_us = _now_us(now)
        asked = self._keys(entities)
        return self._answer(self._store.fetch(asked), now_us)

    async def read_async(self, entities: Mapping[str, Any], now: dt.datetime | None = None) -> Answer:  # fmt: skip
        """`read` for an event loop."""
        now_us = _now_us(now)
        asked = self._keys(entities)
        return self._answer(await self._store.fetch_async(asked), now_us)

    def watermarks(self) -> dict[str, dt.datetime | None]:
        """By view, up to which event time it is complete; None before a materialisation said so.

        Raises:
            NotMaterialisedError: As `read` does.
        """
        found = self._store.fetch([(wanted.view, []) for wanted in self._plan.wanted])
        return self._answer(found, 0).watermarks

    def close(self) -> None:
        """Close the store's connections."""
        self._store.close()

    async def close_async(self) -> None:
        """Close the connections of the event loop that runs."""
        await self._store.close_async()

    def _keys(self, entities: Mapping[str, Any]) -> list[tuple[View, list[bytes]]]:
        """Keys for each view; views of the same entities share theirs."""
        known: dict[Any, list[bytes]] = {}
        asked = []
        for wanted in self._plan.wanted:
            columns = wanted.layout.entities
            keys = known.get(columns)
            if keys is None:
                keys = known[columns] = keys_of(wanted.view, entities)
            asked.append((wanted.view, keys))
        lengths = {len(keys) for columns, keys in known.items() if columns}
        if len(lengths) > 1:
            raise EntityLengthError({e: len(known[es]) for es in known for e, _ in es})
        return asked

    def _answer(self, found: Sequence[Found], now_us: int) -> Answer:
        rows = max(len(values) for _, values in found)
        blocks = []
        for wanted, (header, values) in zip(self._plan.wanted, found, strict=True):
            if header is None:
                raise explain_unreadable(self._store, wanted.view)
            spread = values if len(values) == rows else values * rows  # one row holds for all
            blocks.append(Block(wanted, spread, header, now_us))
        return Answer(self._plan, blocks)


def _now_us(now: dt.datetime | None) -> int:
    return time.time_ns() // 1000 if now is None else micros(now)


def _named(chosen: Sequence[tuple[View, list[str]]], *, is_full: bool) -> list[dict[str, str]]:
    """For each view its wanted features with the names that they have in answers."""
    owners: dict[str, list[str]] = {}
    for view, features in chosen:
        for feature in features:
            if feature not in view.features:
                raise UnknownFeatureError(view.name, feature, view.features)
            owners.setdefault(feature, []).append(view.name)
    clash = next((feature for feature, views in owners.items() if len(views) > 1), None)
    if clash and not is_full:
        raise FeatureNameClashError(clash, owners[clash])
    return [
        {feature: f"{view.name}__{feature}" if is_full else feature for feature in features}
        for view, features in chosen
    ]
