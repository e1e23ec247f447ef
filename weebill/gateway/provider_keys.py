"""The providers' keys that are given through the API, in a worker: follows them, and reports what becomes of them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Raw

from weebill.accounts.provider_keys import TOPIC, KeptKey, KeptKeys, KeyNews
from weebill.catalog.load import Catalogue
from weebill.config.kept import with_keys
from weebill.config.schema import Settings
from weebill.gateway.upstreams import Upstreams
from weebill.process.questions import Position, Unanswered
from weebill.routing.credentials import credential_id
from weebill.routing.directory import Directory
from weebill.routing.own_keys import OwnProvider

_WORDS: Final[Mapping[str, str]] = {"credential": "refused by the provider", "quota": "its account has no quota left"}
_decode: Final = msgspec.msgpack.Decoder(KeptKeys).decode

log = logging.getLogger(__name__)

Asks = Callable[[str, object], Awaitable[Raw]]
Names = Callable[[Settings], Directory]
"""Returns the directory of settings, with all else as the worker knows it."""


class KeptProviderKeys:
    """The keys as a worker knows them, by following `TOPIC`. Belongs to one event loop.

    `on_change` is called after each change. While nothing is heard of the ledger, the last known keys are used.
    """

    def __init__(self, ask: Asks, environment: Mapping[str, str] = os.environ) -> None:
        self._ask = ask
        self._environment = environment
        self._position = Position()
        self._keys: tuple[KeptKey, ...] = ()
        self._ids: dict[str, str] = {}  # of the keys, by those of their credentials
        self._reported: dict[str, float] = {}
        self._refused: dict[str, str] = {}
        self._heard = asyncio.Event()
        self.on_change: Callable[[], None] = _nobody_follows

    def position(self) -> Position:
        """Returns how far changes are known."""
        return self._position

    def hear(self, news: Raw) -> None:
        """Takes over the keys. Raises msgspec.MsgspecError."""
        kept = _decode(news)
        self._keys = kept.keys
        self._position = Position(kept.source, kept.version)
        self._ids = {credential_id(each.provider, each.secret): each.id for each in kept.keys}
        self._heard.set()
        self.on_change()

    async def wait(self, timeout_s: float) -> None:
        """Waits until the keys are known, for at most `timeout_s`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._heard.wait(), timeout_s)

    def of_installation(self, settings: Settings) -> Settings:
        """Returns the settings with the installation's keys."""
        keys = _by_provider(each for each in self._keys if each.project_id is None)
        return with_keys(settings, keys, self._environment) if keys else settings

    def apply(self, settings: Settings, upstreams: Upstreams, names: Names, catalogue: Catalogue) -> None:
        """Has projects use their own keys; `settings` have the installation's."""
        if not self._heard.is_set():
            return
        own = self._own(settings)
        upstreams.watch(self._ids)
        wide = upstreams.directory
        if any(name not in settings.providers for providers in own.values() for name in providers):
            added = {name: (_ANY,) for providers in own.values() for name in providers}
            wide = names(with_keys(settings, added, self._environment))
        upstreams.routers.follow(own, wide, catalogue)

    def _own(self, settings: Settings) -> dict[str, dict[str, OwnProvider]]:
        """Returns the providers of each project with its own keys."""
        keys: dict[str, list[KeptKey]] = {}
        for each in self._keys:
            if each.project_id is not None:
                keys.setdefault(each.project_id, []).append(each)
        own = {}
        for project_id, mine in keys.items():
            by_provider = _by_provider(mine)
            there = with_keys(settings, by_provider, self._environment, instead=True).providers
            falling = {each.provider for each in mine if each.fallback}
            own[project_id] = {name: OwnProvider(there[name], name in falling) for name in by_provider if name in there}
        return own

    async def report(self, upstreams: Upstreams) -> None:
        """Tells the ledger process which keys were used, and which are refused; to be called regularly."""
        now = time.monotonic()
        if not self._ids:
            return
        used = {key: at for key, at in upstreams.watched.items() if at > self._reported.get(key, 0.0)}
        refused = self._refused_now(upstreams, now)
        news = KeyNews(
            {self._ids[key]: int(at) for key, at in used.items() if key in self._ids},
            {self._ids[key]: why for key, why in refused.items() if self._refused.get(key) != why},
            tuple(self._ids[key] for key in self._refused if key not in refused and key in self._ids),
        )
        if not (news.used or news.refused or news.accepted):
            return
        try:
            await self._ask(TOPIC, news)
        except Unanswered as error:
            log.debug("the use of providers' keys is reported later: %s", error)
            return
        self._reported, self._refused = {**upstreams.watched}, refused

    def _refused_now(self, upstreams: Upstreams, now: float) -> dict[str, str]:
        routers = (upstreams.router, *upstreams.routers.made.values())
        found = [each for router in routers for each in router.health.refusals.now(now)]
        return {each.credential: _WORDS.get(each.kind, each.kind) for each in found if each.credential in self._ids}


_ANY: Final = "of-some-project"
"""Stands for a key in a directory that names models; it is never sent, as nobody without a key of his own is routed
to it.
"""


def _by_provider(keys: Iterable[KeptKey]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in keys:
        found.setdefault(each.provider, []).append(each.secret)
    return found


def _nobody_follows() -> None:
    """Does nothing."""
