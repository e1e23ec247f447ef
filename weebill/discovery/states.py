"""The states of all watched servers, and who is told of them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection
from threading import Lock
from typing import Final

import msgspec
from msgspec import Raw

from weebill.process.questions import Position, encode
from weebill.routing.servers import ServerNews, ServerState

_SIGN_OF_LIFE_S: Final = 1.0
_decode_position: Final = msgspec.msgpack.Decoder(Position).decode


class States:
    """The states by provider. Written by the event loop, read by the thread of the topic."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._source = secrets.token_hex(8)
        self._version = 0
        self._states: dict[str, tuple[int, ServerState]] = {}

    def put(self, state: ServerState) -> bool:
        """Takes over a state; returns True if it is another than before."""
        with self._lock:
            known = self._states.get(state.provider)
            if known is not None and known[1] == state:
                return False
            self._version += 1
            self._states[state.provider] = (self._version, state)
            return True

    def all(self) -> tuple[ServerState, ...]:
        """Returns all states."""
        with self._lock:
            return tuple(state for _, state in self._states.values())

    def keep(self, providers: Collection[str]) -> None:
        """Drops the states of all other providers."""
        with self._lock:
            self._states = {name: each for name, each in self._states.items() if name in providers}

    def feed(self, position: Raw) -> StateFeed:
        """Returns a feed of the states that are newer than that position."""
        return StateFeed(self.newer, _decode_position(position))

    def newer(self, known: Position) -> ServerNews:
        """Returns the states that have changed since that position: all of them, to one who knows another source."""
        with self._lock:
            since = known.version if known.source == self._source else -1
            states = tuple(state for version, state in self._states.values() if version > since)
            return ServerNews(self._source, self._version, states)


class StateFeed:
    """Sends one asker the changed states, and once a second a sign of life, without which they count as unknown."""

    def __init__(self, newer: Callable[[Position], ServerNews], known: Position) -> None:
        self._newer = newer
        self._known = known
        self._due_at = 0.0

    def news(self) -> bytes | None:
        """Returns the news since the last call; None if there are none and no sign of life is due."""
        found = self._newer(self._known)
        if not found.states and time.monotonic() < self._due_at:
            return None
        self._known = Position(found.source, found.version)
        self._due_at = time.monotonic() + _SIGN_OF_LIFE_S
        return encode(found)
