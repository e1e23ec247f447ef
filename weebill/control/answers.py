"""JSON answers; every error is answered in OpenAI's format.

The answers that a handler may give are its annotation: the OpenAPI document is made from these.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from typing import ClassVar, Generic, Literal, TypeVar

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from weebill.accounts.keyring import LedgerUnavailable
from weebill.accounts.sealing import SealedError
from weebill.config.ledger_errors import LedgerError
from weebill.control.routing import methods_at
from weebill.storage.audit import UnauditedChangeError
from weebill.storage.errors import LedgerFailedError
from weebill.wire.errors import ApiError

# Far above the size of any request to the management API.
MAX_BODY_BYTES = 65_536
# Licences and templates of a model that is made.
_MAX_RECIPE_BYTES = 4 << 20

_UNAVAILABLE = "The ledger cannot be read at present; try again."
_FAULT = "Weebill failed to answer this; its log says why."
T = TypeVar("T")

log = logging.getLogger(__name__)

_SECURE_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class Json(Response, Generic[T]):
    """A value as JSON, msgspec structs included."""

    media_type = "application/json"
    STATUS: ClassVar[int] = 200

    def __init__(self, content: T) -> None:
        super().__init__(content, self.STATUS)

    def render(self, content: object) -> bytes:
        return msgspec.json.encode(content)


class Created(Json[T]):
    """Something new as JSON."""

    STATUS = 201


class Accepted(Json[T]):
    """The promise of something, as JSON."""

    STATUS = 202


class Archive(StreamingResponse):
    """An archive that is made while it is sent."""

    TYPES: ClassVar[tuple[str, ...]] = ("application/zip",)

    def __init__(self, parts: Iterator[bytes], headers: Mapping[str, str]) -> None:
        super().__init__(parts, 200, headers, self.TYPES[0])


class Text(Response):
    """A text that is asked for in place of JSON: a table for other programs, or a page to print."""

    TYPES: ClassVar[tuple[str, ...]] = ("text/csv", "text/html")

    def __init__(self, text: str, media_type: Literal["text/csv", "text/html"], headers: Mapping[str, str]) -> None:
        super().__init__(text.encode(), 200, headers, media_type)


def handle_errors(app: FastAPI) -> None:
    """Has every error of `app` answered in OpenAI's format."""
    app.add_exception_handler(ApiError, _answer_api_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(UnicodeEncodeError, _answer_surrogate)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(LedgerUnavailable, _answer_unavailable)
    app.add_exception_handler(Exception, _answer_fault)


class LimitBody:
    """Refuses request bodies over `MAX_BODY_BYTES` while they arrive; files of models may have any length."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received, most = 0, _most_bytes(scope.get("path", ""))

        async def receive_limited() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > most:
                raise HTTPException(413, f"The body is larger than {most:.0f} bytes.")
            return message

        await self._app(scope, receive_limited if scope["type"] == "http" else receive, send)


def _most_bytes(path: str) -> float:
    if "/api/blobs/" in path:
        return math.inf
    return _MAX_RECIPE_BYTES if path.endswith("/api/create") else MAX_BODY_BYTES


class SecureHeaders:
    """Adds the headers that keep browsers from sniffing, framing or storing an answer, unless it has its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _SECURE_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_secured)


@contextmanager
def available() -> Iterator[None]:
    """Raises LedgerUnavailable if the ledger fails, ApiError for another failure than that it cannot be read."""
    try:
        yield
    except LedgerError as error:
        raise failure(error) from error


def failure(error: LedgerError) -> Exception:
    """Returns how a failure of the ledger is answered; what is no database's is logged, which says what to do."""
    if isinstance(error, LedgerFailedError):
        return LedgerUnavailable()
    log.error("a request could not be answered: %s", error.advised)
    if isinstance(error, SealedError):
        message = "This takes a master key that this machine does not have; its log says how to mend that."
        return ApiError(409, message, code="master_key_missing")
    if isinstance(error, UnauditedChangeError):
        return ApiError(500, _FAULT, code="internal_error")
    return LedgerUnavailable()


def _answer(error: ApiError, headers: dict[str, str] | None = None) -> Response:
    headers = dict(headers or {})
    if error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    return Response(error.body(), error.status, headers, "application/json")


async def _answer_api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 - registered for it
    # RFC 6750: the header tells a client how to authenticate.
    return _answer(error, {"www-authenticate": "Bearer"} if error.status == HTTPStatus.UNAUTHORIZED else None)


async def _answer_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for it
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return _answer(ApiError(400, f"The body is not JSON: {first['ctx']['error']}.", code="invalid_json"))
    # The first part of a location is the field's place: body, query or path.
    param = ".".join(str(part) for part in first["loc"][1:]) or None
    return _answer(ApiError(400, f"{param or 'The body'}: {first['msg']}.", code="invalid_value", param=param))


async def _answer_surrogate(_: Request, __: Exception) -> Response:
    # JSON can say half of a pair of surrogates, which is no text: databases and mails refuse it.
    return _answer(ApiError(400, "A text has half of a surrogate pair, which is no character.", code="invalid_value"))


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    asked, headers = f"{request.method} {request.url.path}", dict(error.headers or {})
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            answer = ApiError(404, f"Unknown request URL: {asked}.", code="unknown_url")
        case HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = ", ".join(methods_at(request.app.routes, request.scope))
            headers = {"allow": allowed}
            answer = ApiError(405, f"{asked} is not allowed; use {allowed}.", code="method_not_allowed")
        case status:
            answer = ApiError(status, str(error.detail))
    return _answer(answer, headers)


async def _answer_unavailable(_: Request, __: Exception) -> Response:
    return _answer(ApiError(503, _UNAVAILABLE, code="ledger_unavailable", retry_after=1))


async def _answer_fault(_: Request, __: Exception) -> Response:
    # The server that runs the app logs the exception itself.
    return _answer(ApiError(500, _FAULT, code="internal_error"))
