"""The OpenAI dialect: bytes pass through; only the model's name and the request for usage are put in.

Source: https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.providers.base import Answer, AnswerCollector, ByteStream, Target, UpstreamRequest
from weebill.providers.openai_stream import OpenAIStream
from weebill.providers.usage import UsageReport, estimate
from weebill.wire.call import Call, InboundRequest, Json
from weebill.wire.errors import ApiError
from weebill.wire.requests import ChatRequest, CompletionRequest

_encode = msgspec.json.encode
_WITH_USAGE: Final = Raw(b'{"include_usage":true}')
_MESSAGE_LIMIT: Final = 2000
PATHS: Final[dict[type[InboundRequest], bytes]] = {
    ChatRequest: b"/chat/completions",
    CompletionRequest: b"/completions",
}


class _Completion(msgspec.Struct, frozen=True):
    """The part of an answer that the gateway reads."""

    choices: list[Raw]
    usage: UsageReport | None = None


_decode_completion = msgspec.json.Decoder(_Completion).decode


class OpenAITranslator:
    """For every upstream that speaks OpenAI's Chat Completions and Completions."""

    def encode(self, call: Call, target: Target) -> UpstreamRequest:
        """The body as it came, but for the model's name; a stream is asked for its usage."""
        fields = {**call.fields, "model": Raw(_encode(target.model))}
        return UpstreamRequest(PATHS[type(call.request)], _encode(with_usage(fields) if call.stream else fields))

    def decode(self, call: Call, body: bytes) -> Answer:
        """The body as it came, and its usage."""
        try:
            completion = _decode_completion(body)
        except msgspec.DecodeError as error:
            raise ApiError(
                502, f"The upstream's answer is not a completion: {error}.", code="upstream_invalid_answer"
            ) from error
        if completion.usage is not None:
            return Answer(body, completion.usage.usage())
        return Answer(body, estimate(call, completion_bytes=sum(len(memoryview(c)) for c in completion.choices)))

    def stream(self, call: Call) -> ByteStream:
        return OpenAIStream(call)

    def collect(self, call: Call) -> AnswerCollector | None:
        return None

    def error(self, call: Call, status: int, body: bytes, retry_after: int | None, upstream: str) -> ApiError:
        """The upstream's own error, under a status that blames whom it should."""
        detail = _error_detail(body)
        message = detail.message or f"The upstream '{upstream}' answered with status {status}."
        if status in (401, 402, 403):
            # The credential is the operator's, so the client must not take this for its own key's fault.
            reason = f"The upstream '{upstream}' refused Weebill's credential (status {status}): {message}"
            return ApiError(502, reason, code="upstream_credential_refused")
        if status < 400:
            return ApiError(502, f"The upstream '{upstream}' answered with status {status}.", code="upstream_error")
        return ApiError(
            status,
            message,
            code=detail.code or ("upstream_error" if status >= 500 else None),
            param=detail.param,
            type=detail.type,
            retry_after=retry_after,
        )


class _UpstreamError(msgspec.Struct, frozen=True):
    """An error as upstreams write it; `code` may be a number or a text."""

    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | int | float | None = None


class _ErrorBody(msgspec.Struct, frozen=True):
    error: _UpstreamError | str | None = None
    message: str | None = None
    detail: Raw | None = None


class _Detail(msgspec.Struct, frozen=True):
    message: str | None = None
    type: str | None = None
    param: str | None = None
    code: str | None = None


def _error_detail(body: bytes) -> _Detail:
    """What an error body says, in the shapes that are common among OpenAI-compatible servers."""
    try:
        decoded = msgspec.json.decode(body, type=_ErrorBody)
    except msgspec.DecodeError:
        return _Detail(body[:_MESSAGE_LIMIT].decode("utf-8", "replace").strip() or None)
    error = decoded.error
    if isinstance(error, _UpstreamError):
        # Some servers repeat the status as a numeric code, which tells nothing; OpenAI's codes are words.
        code = error.code if isinstance(error.code, str) else None
        return _Detail(error.message, error.type, error.param, code)
    if error is not None:
        return _Detail(error)
    if decoded.message is None and decoded.detail is not None:
        return _Detail(bytes(decoded.detail)[:_MESSAGE_LIMIT].decode("utf-8", "replace"))
    return _Detail(decoded.message)


def with_usage(fields: Json) -> Json:
    """A streamed request's fields with `stream_options.include_usage` set and everything else kept."""
    options = fields.get("stream_options")
    if options is None or bytes(options) == b"null":
        return {**fields, "stream_options": _WITH_USAGE}
    known = msgspec.json.decode(options, type=Json)
    return {**fields, "stream_options": Raw(_encode({**known, "include_usage": True}))}
