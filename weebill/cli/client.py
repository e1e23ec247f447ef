"""A small blocking client of the chat endpoint, on the standard library."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from weebill.cli.errors import CommandError
from weebill.wire.errors import ErrorBody, ErrorDetail

TIMEOUT_S = 600.0
MAX_LINE_BYTES = 16 * 1024 * 1024
MAX_ERROR_BYTES = 1024 * 1024
MAX_ANSWER_BYTES = 16 * 1024 * 1024


class ChatMessage(msgspec.Struct, frozen=True):
    """A turn of a conversation."""

    role: Literal["user", "assistant"]
    content: str


class _Request(msgspec.Struct, frozen=True):
    model: str
    messages: list[ChatMessage]
    stream: bool = True


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    delta: _Delta = _Delta()


class _Chunk(msgspec.Struct, frozen=True):
    choices: tuple[_Choice, ...] = ()
    error: ErrorDetail | None = None


class RefusedError(CommandError):
    """An answer of the gateway that is an error, with its HTTP status."""

    def __init__(self, message: str, hint: str, status: int) -> None:
        super().__init__(message, hint)
        self.status = status


class ChatClient:
    """A client of the gateway at `origin`; `tls_cert` is the certificate that it must show, "" without TLS."""

    def __init__(self, origin: str, key: str, tls_cert: str) -> None:
        self._netloc = urlsplit(origin).netloc
        self._key = key
        self._tls_cert = tls_cert

    def stream(self, model: str, conversation: list[ChatMessage]) -> Iterator[str]:
        """Yields the pieces of the answer as they come. Raises CommandError if there is none, or if it was cut."""
        with self._answer(msgspec.json.encode(_Request(model, conversation))) as response:
            yield from _pieces(response)

    def whole(self, body: bytes) -> bytes:
        """Returns the body of the answer to a request that is not for a stream. Raises CommandError."""
        with self._answer(body) as response:
            return response.read(MAX_ANSWER_BYTES)

    @contextmanager
    def _answer(self, body: bytes) -> Iterator[http.client.HTTPResponse]:
        connection = self._connection()
        try:
            connection.request(
                "POST",
                "/v1/chat/completions",
                body,
                {"authorization": f"Bearer {self._key}", "content-type": "application/json"},
            )
            response = connection.getresponse()
            if response.status != http.HTTPStatus.OK:
                raise _refusal(response)
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise CommandError(
                f"the answer was cut: {error or type(error).__name__}", "`weebill status` shows how Weebill is doing"
            ) from error
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if not self._tls_cert:
            return http.client.HTTPConnection(self._netloc, timeout=TIMEOUT_S)
        # Trusts exactly the certificate of the server on this machine, whatever its name.
        context = ssl.create_default_context(cafile=self._tls_cert)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return http.client.HTTPSConnection(self._netloc, timeout=TIMEOUT_S, context=context)


def _pieces(response: http.client.HTTPResponse) -> Iterator[str]:
    decoder = msgspec.json.Decoder(_Chunk)
    while line := response.readline(MAX_LINE_BYTES):
        if not line.startswith(b"data:"):
            continue
        data = line[len(b"data:") :].strip()
        if data == b"[DONE]":
            return
        chunk = decoder.decode(data)
        if chunk.error is not None:
            raise CommandError(chunk.error.message)
        yield from (choice.delta.content for choice in chunk.choices if choice.delta.content)
    raise CommandError("the answer was cut before its end", "`weebill status` shows how Weebill is doing")


def _refusal(response: http.client.HTTPResponse) -> RefusedError:
    body = response.read(MAX_ERROR_BYTES)
    try:
        message = msgspec.json.decode(body, type=ErrorBody).error.message
    except msgspec.MsgspecError:
        message = f"the gateway answered {response.status} {response.reason}"
    hints = {404: "`weebill list` shows the models", 401: "unset WEEBILL_API_KEY, or set it to a key that is valid"}
    return RefusedError(message, hints.get(response.status, ""), response.status)
