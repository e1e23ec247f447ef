"""The topics of the ledger process, on which it answers questions and sends news, read from the database.

Each is used in a thread of its own. Keys and experiments are followed by a version number that every change raises:
it is compared with the asker's version, and the difference is sent.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from msgspec import Raw
from sqlalchemy import Connection

from weebill.accounts.api_key import KeyChanges
from weebill.accounts.provider_keys import KeptKeys, KeyNews
from weebill.auto.experiments import ExperimentSnapshot
from weebill.config.ledger_errors import LedgerError
from weebill.process.questions import Position, Unanswered, encode
from weebill.storage.database import Database
from weebill.storage.experiments import read_experiments
from weebill.storage.keys import changed_since, find_active
from weebill.storage.provider_keys import ProviderKeys
from weebill.storage.responses import ResponseStore, StoreError
from weebill.storage.sealing import Vault
from weebill.storage.versions import EXPERIMENTS_VERSION, KEYS_VERSION, PROVIDER_KEYS_VERSION, Positions, positions
from weebill.wire.responses_store import Delete, Get, History, Items, Put, StoreQuestion

_SIGN_OF_LIFE_S: Final = 0.4  # since the last news: a feed is asked at whole seconds as well
_MAX_CHANGES: Final = 10_000  # with more, all keys count as changed

T = TypeVar("T")

_decode_digest: Final = msgspec.msgpack.Decoder(bytes).decode
_decode_position: Final = msgspec.msgpack.Decoder(Position).decode
_decode_news: Final = msgspec.msgpack.Decoder(KeyNews).decode
_decode_question: Final = msgspec.msgpack.Decoder(StoreQuestion).decode


class Keys:
    """Finds the key of a secret's digest, and sends changes of keys."""

    def __init__(self, ledger: Database, positions: Positions) -> None:
        self._ledger = ledger
        self._positions = positions

    def answer(self, question: Raw) -> bytes:
        """Returns the `FoundKey` with the digest in question, or None. Raises Unanswered."""
        digest = _decode_digest(question)
        return encode(_typed(lambda: find_active(self._ledger, digest)))

    def feed(self, position: Raw) -> KeyFeed:
        """Returns a feed of the changes from that position on."""
        return KeyFeed(self._ledger, self._positions, _decode_position(position))


class KeyFeed:
    """Sends one asker the changed keys, and once a second a heartbeat without changes."""

    def __init__(self, ledger: Database, positions: Positions, known: Position) -> None:
        self._ledger = ledger
        self._positions = positions
        self._known = known
        self._due_at = 0.0

    def news(self) -> bytes | None:
        """Returns the `KeyChanges` since the last call. Raises Unanswered."""
        changed: dict[str, list[bytes]] | None = {}
        now = _typed(lambda: self._positions.now(KEYS_VERSION))
        if now != self._known:
            now, changed = _typed(lambda: self._ledger.read(self._changes))
        elif time.monotonic() < self._due_at:
            return None
        self._known, self._due_at = now, time.monotonic() + _SIGN_OF_LIFE_S
        return encode(KeyChanges(now.source, now.version, changed))

    def _changes(self, connection: Connection) -> tuple[Position, dict[str, list[bytes]] | None]:
        known, now = self._known, positions(self._ledger, connection)[KEYS_VERSION]
        # Otherwise another ledger is there, or an older state of this one.
        if now.source != known.source or now.version < known.version:
            return now, None
        changed = changed_since(connection, known.version, _MAX_CHANGES + 1)
        return now, changed if len(changed) <= _MAX_CHANGES else None


class SealedKeys:
    """Sends the providers' keys that are in use, and takes in what workers report of them."""

    def __init__(self, ledger: Database, positions: Positions, vault: Vault) -> None:
        self._ledger = ledger
        self._positions = positions
        self._keys = ProviderKeys(ledger, vault)

    def answer(self, question: Raw) -> bytes:
        """Keeps a `KeyNews`; returns None. Raises Unanswered."""
        news = _decode_news(question)
        _typed(lambda: self._keys.note(news))
        return encode(None)

    def feed(self, position: Raw) -> SealedKeyFeed:
        """Returns a feed of the keys: as they are now, and whenever they have changed."""
        return SealedKeyFeed(self._ledger, self._positions, self._keys)


class SealedKeyFeed:
    """Sends one asker the keys. The first time it does so in any case: an asker that knows none has to wait for it."""

    def __init__(self, ledger: Database, positions: Positions, keys: ProviderKeys) -> None:
        self._ledger = ledger
        self._positions = positions
        self._keys = keys
        self._known: tuple[Position, Position] | None = None

    def news(self) -> bytes | None:
        """Returns the `KeptKeys` if anything has changed since the last call. Raises Unanswered."""
        # Projects that are archived are among the changes of keys.
        now = _typed(lambda: (self._positions.now(PROVIDER_KEYS_VERSION), self._positions.now(KEYS_VERSION)))
        if now == self._known:
            return None
        kept = _typed(lambda: self._ledger.read(self._kept))
        self._known = now
        return encode(kept)

    def _kept(self, connection: Connection) -> KeptKeys:
        now = positions(self._ledger, connection)[PROVIDER_KEYS_VERSION]
        return KeptKeys(now.source, now.version, self._keys.in_use(connection))


class RunningExperiments:
    """Sends the experiments."""

    def __init__(self, ledger: Database, positions: Positions) -> None:
        self._ledger = ledger
        self._positions = positions

    def feed(self, position: Raw) -> ExperimentFeed:
        """Returns a feed of the experiments, whenever they have changed since that position."""
        return ExperimentFeed(self._ledger, self._positions, _decode_position(position))


class ExperimentFeed:
    """Sends one asker the experiments."""

    def __init__(self, ledger: Database, positions: Positions, known: Position) -> None:
        self._ledger = ledger
        self._positions = positions
        self._known = known

    def news(self) -> bytes | None:
        """Returns an `ExperimentSnapshot` if anything has changed since the last call. Raises Unanswered."""
        if _typed(lambda: self._positions.now(EXPERIMENTS_VERSION)) == self._known:
            return None
        snapshot = _typed(lambda: self._ledger.read(self._snapshot))
        self._known = Position(snapshot.source, snapshot.version)
        return encode(snapshot)

    def _snapshot(self, connection: Connection) -> ExperimentSnapshot:
        now = positions(self._ledger, connection)[EXPERIMENTS_VERSION]
        return ExperimentSnapshot(now.source, now.version, read_experiments(connection))


def _typed(read: Callable[[], T]) -> T:
    try:
        return read()
    except LedgerError as error:
        raise Unanswered(error.advised) from error


class Responses:
    """Answers questions about stored responses; the store is made or upgraded with the first question."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._store: ResponseStore | None = None

    def answer(self, question: Raw) -> bytes:
        """Returns the answer that `weebill.wire.responses_store` defines. Raises Unanswered."""
        try:
            if self._store is None:
                self._store = ResponseStore(self._database)
            return encode(_answered(self._store, _decode_question(question)))
        except StoreError as error:
            raise Unanswered(str(error)) from error


def _answered(store: ResponseStore, question: StoreQuestion) -> object:
    match question:
        case Put(tenant=tenant, stored=stored):
            store.put(tenant, stored)
            return None
        case Get(tenant=tenant, id=id_):
            return store.get(tenant, id_)
        case History(tenant=tenant, id=id_):
            return store.history(tenant, id_)
        case Items(tenant=tenant, ids=ids):
            return store.items(tenant, ids)
        case Delete(tenant=tenant, id=id_):
            return store.delete(tenant, id_)
