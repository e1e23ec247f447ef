"""Loads and unloads LoRA adapters of watched servers, and lists them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError
from typing import Final

import msgspec
from msgspec import Raw

from weebill.discovery.answers import Answer
from weebill.discovery.states import States
from weebill.discovery.watching import Watch
from weebill.process.questions import Unanswered, encode
from weebill.providers.error_bodies import said_in
from weebill.routing.adapters import (
    TIMEOUT_S,
    Adapted,
    Adapter,
    AdapterQuestion,
    ListAdapters,
    LoadAdapter,
    UnloadAdapter,
)

# A server that does not answer in this time may still fulfil the wish.
_PATIENCE_S: Final = 35.0
_OFF: Final = (
    "the server has no endpoint for adapters; vLLM has it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora"
)
_KEY: Final = "the server refuses the key of this provider"
# FastAPI's words for a path that it does not have.
_NO_PATH: Final = "Not Found"

_decode: Final = msgspec.msgpack.Decoder(AdapterQuestion).decode


class Adapters:
    """Answers questions about the adapters of the servers that `find` returns the watches of, by provider."""

    def __init__(self, states: States, find: Callable[[str], Watch | None], loop: asyncio.AbstractEventLoop) -> None:
        self._states = states
        self._find = find
        self._loop = loop

    def answer(self, question: Raw) -> bytes:
        """Returns the answer that `weebill.routing.adapters` defines. Called in a thread. Raises Unanswered."""
        asked = _decode(question)
        if isinstance(asked, ListAdapters):
            return encode(self._listed())
        waiting = asyncio.run_coroutine_threadsafe(self._adapted(asked), self._loop)
        try:
            return encode(waiting.result(TIMEOUT_S))
        except (TimeoutError, CancelledError):
            waiting.cancel()
            raise Unanswered("the server has not answered") from None

    def _listed(self) -> list[Adapter]:
        return [
            Adapter(model.name, state.provider, model.parent)
            for state in self._states.all()
            for model in state.models
            if model.parent
        ]

    async def _adapted(self, asked: LoadAdapter | UnloadAdapter) -> Adapted:
        watch = self._find(asked.provider)
        if watch is None:
            return Adapted(404, f"the provider `{asked.provider}` is no server that takes adapters", "provider")
        loads = isinstance(asked, LoadAdapter)
        path = watch.server.load_adapter if loads else watch.server.unload_adapter
        body = {"lora_name": asked.name} | ({"lora_path": asked.path} if isinstance(asked, LoadAdapter) else {})
        outcome = _read(await watch.post(path, msgspec.json.encode(body), _PATIENCE_S), loads=loads)
        if outcome.status == 200:
            await watch.look()  # so that its name is known at once
        return outcome


def _read(answer: Answer, *, loads: bool) -> Adapted:
    """Returns the outcome by the server's answer."""
    if answer.status == 200:
        return Adapted(200)
    if not answer.status:
        return Adapted(504 if answer.late else 502, answer.lost)
    if answer.status in (401, 403):
        return Adapted(502, _KEY)
    said = said_in(answer.body).message or f"the server answered {answer.status}"
    if answer.status == 405 or said == _NO_PATH:
        return Adapted(501, _OFF)
    if not 400 <= answer.status < 500:
        return Adapted(502, said)
    return Adapted(answer.status, said, "name" if not loads or "already" in said else "path")
