"""Follows the states of servers that the discovery process tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec import Raw

from weebill.process.questions import Position
from weebill.routing.servers import ServedModel, ServerNews, ServerState

_decode: Final = msgspec.msgpack.Decoder(ServerNews).decode


def _nothing() -> None:
    """Does nothing."""


class Servers:
    """The states of the servers, as far as they have been told. `heard` is called with each news, loads and signs of
    life included; `changed` after it, if models or a status are others than before.
    """

    def __init__(self, heard: Callable[[], None] = _nothing, changed: Callable[[], None] = _nothing) -> None:
        self._heard = heard
        self._changed = changed
        self._known = Position()
        self.states: Mapping[str, ServerState] = {}

    def position(self) -> Position:
        """Returns the known part."""
        return self._known

    def hear(self, news: Raw) -> None:
        """Takes over what has changed."""
        found = _decode(news)
        before = self.states
        self._known = Position(found.source, found.version)
        self.states = {**before, **{each.provider: _with_models(each, before) for each in found.states}}
        self._heard()
        if _told(before) != _told(self.states):
            self._changed()

    @property
    def models(self) -> Mapping[str, tuple[ServedModel, ...]]:
        """The models that each server lists, by its provider."""
        return {name: state.models for name, state in self.states.items()}

    @property
    def away(self) -> Mapping[str, str]:
        """The providers whose servers do not serve now, and why."""
        return {
            name: f"its server is {state.status}: {state.why}"
            for name, state in self.states.items()
            if state.status in ("down", "unready")
        }


def _with_models(state: ServerState, before: Mapping[str, ServerState]) -> ServerState:
    """Returns a state with the models that were known before if it has none, as after a restart of the teller."""
    known = before.get(state.provider)
    if state.models or state.status == "ready" or known is None:
        return state
    return msgspec.structs.replace(state, models=known.models)


def _told(states: Mapping[str, ServerState]) -> dict[str, tuple[object, ...]]:
    """Returns the parts of states that names and their availability depend on."""
    return {name: (state.status, state.why, state.models) for name, state in states.items()}
