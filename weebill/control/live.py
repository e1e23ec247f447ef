"""`/api/v1/live`: a WebSocket that pushes the state of the installation every second.

A client sends its admin key in an Authorization header, or, as browsers cannot, as its first message
`{"api_key": "sk-wb-..."}`; with `{"api_key": ""}` its session counts, if the page is one of this installation.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

import msgspec
from fastapi import WebSocket, WebSocketDisconnect

from weebill.accounts.keyring import KeyDirectory, LedgerUnavailable
from weebill.control.access import bearer_token, peer_of, require_admin
from weebill.control.overview import Overview
from weebill.control.sign_in.guard import Guard
from weebill.wire.errors import ApiError

MAX_CLIENTS = 32
INTERVAL_S = 1.0
_KEY_TIMEOUT_S = 5.0
_SEND_TIMEOUT_S = 5.0  # a client that does not read is disconnected

# https://www.rfc-editor.org/rfc/rfc6455#section-7.4; codes from 4000 on are for applications.
_TRY_AGAIN_LATER = 1013
_STATUS_BASE = 4000  # 4401 and 4403 have the meaning of HTTP's 401 and 403


class Hello(msgspec.Struct, frozen=True):
    """The first message of a client that cannot send headers."""

    api_key: str


class LiveFeed:
    """Serves at most `MAX_CLIENTS` at a time; the state is read once a second for all of them."""

    def __init__(self, overview: Overview, keys: KeyDirectory, guard: Guard) -> None:
        self._guard = guard
        self._overview = overview
        self._keys = keys
        self._clients = 0
        self._latest: tuple[float, str] = (0.0, "")

    async def serve(self, socket: WebSocket) -> None:
        """Pushes the state until the client disconnects, its key is revoked, or the process ends."""
        await socket.accept()
        if self._clients >= MAX_CLIENTS:
            await socket.close(_TRY_AGAIN_LATER, f"{MAX_CLIENTS} clients are connected already")
            return
        self._clients += 1
        try:
            await self._push(socket)
        except ApiError as error:
            await _close(socket, _STATUS_BASE + error.status, error.detail.message)
        except LedgerUnavailable:
            await _close(socket, _TRY_AGAIN_LATER, "the ledger cannot be read at present")
        except (WebSocketDisconnect, TimeoutError):
            await _close(socket, 1000, "")
        finally:
            self._clients -= 1

    async def _push(self, socket: WebSocket) -> None:
        token = bearer_token(socket.headers.get("authorization")) or await _first_message(socket)
        listening = asyncio.create_task(_until_gone(socket))
        try:
            while not listening.done():
                await self._admit(socket, token)  # every time: a key may be revoked meanwhile, or a session ended
                async with asyncio.timeout(_SEND_TIMEOUT_S):
                    await socket.send_text(self._state())
                await asyncio.wait([listening], timeout=INTERVAL_S)
        finally:
            listening.cancel()

    async def _admit(self, socket: WebSocket, token: bytes) -> None:
        if token or not self._guard.site(socket).cookie():
            await require_admin(self._keys, token, peer_of(socket.headers))
            return
        actor = await self._guard.actor(socket)
        if not actor.installation:
            raise ApiError(403, "This is for who manages the installation.", code="permission_denied")

    def _state(self) -> str:
        now = time.monotonic()
        read_at, text = self._latest
        if not text or now - read_at >= INTERVAL_S / 2:
            text = msgspec.json.encode(self._overview.live()).decode()
            self._latest = (now, text)
        return text


async def _first_message(socket: WebSocket) -> bytes:
    """Returns the key in the first message. Raises ApiError, TimeoutError, WebSocketDisconnect."""
    try:
        async with asyncio.timeout(_KEY_TIMEOUT_S):
            text = await socket.receive_text()
        return msgspec.json.decode(text, type=Hello).api_key.encode()
    except (KeyError, msgspec.MsgspecError, UnicodeError):  # KeyError: the message is not text
        raise ApiError(401, 'The first message must be {"api_key": "sk-wb-..."}.') from None


async def _until_gone(socket: WebSocket) -> None:
    """Reads and ignores the client's messages until it disconnects."""
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


async def _close(socket: WebSocket, code: int, reason: str) -> None:
    with suppress(RuntimeError, WebSocketDisconnect):  # the client may be gone already
        await socket.close(code, reason[:120])
