"""The inbound API that Google's Gemini SDKs speak: `POST /v1beta/models/{model}:generateContent` and
`:streamGenerateContent`, also under /v1, /v1alpha and /v1beta1.

Source: https://ai.google.dev/api/generate-content and https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs

import msgspec

from weebill.apis.base import ALL_SAID, StreamEncoder, Unsaid
from weebill.apis.gemini.answer import answer
from weebill.apis.gemini.decode import FIELDS, read_request
from weebill.apis.gemini.errors import error_body
from weebill.apis.gemini.stream import GeminiStreamEncoder
from weebill.wire import sse
from weebill.wire.body import invalid_body, take_own, top_level
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation
from weebill.wire.errors import UNREADABLE, ApiError
from weebill.wire.gemini_request import GeminiRequest, GenerateContentRequest, camel_case, exact, wants_array
from weebill.wire.inbound import GatewayOptions, Json
from weebill.wire.reply import Reply

_GENERATE: Final = "generateContent"
_STREAM: Final = "streamGenerateContent"
_MODEL_LIMIT: Final = 256
_ARRAY_HEADERS: Final = b"content-type: application/json\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"

_decode: Final = msgspec.json.Decoder(GenerateContentRequest, strict=False).decode
_decode_exact: Final = msgspec.json.Decoder(exact(GenerateContentRequest), strict=False).decode


class GeminiApi:
    """The Gemini API; the model and whether it streams are in the path."""

    name: str = "generateContent"
    native: str = "gemini"
    headers: frozenset[bytes] = frozenset()
    unsaid: Unsaid = ALL_SAID

    def decode(self, body: bytes, headers: Mapping[bytes, bytes], tail: str) -> Call:
        """The call in a request; `tail` is like "gemini-2.5-flash:streamGenerateContent?alt=sse"."""
        model, method, query = split_tail(tail)
        if method not in (_GENERATE, _STREAM):
            raise unknown_method(method)
        stream = method == _STREAM
        array = stream and "sse" not in (*query.get("alt", ()), *query.get("$alt", ()))
        request, fields, own = decode_body(body)
        return Call(GeminiRequest(request, array), fields, model, stream, True, own)

    def conversation(self, call: Call) -> Conversation:
        return read_request(call)

    def fields(self) -> Mapping[str, str]:
        return FIELDS

    def answer(self, call: Call, reply: Reply) -> bytes:
        return answer(call, reply)

    def stream_headers(self, call: Call) -> bytes:
        return _ARRAY_HEADERS if wants_array(call) else sse.HEADERS

    def stream(self, call: Call) -> StreamEncoder:
        return GeminiStreamEncoder(call)

    def error_body(self, error: ApiError) -> bytes:
        return error_body(error)

    def error_event(self, error: ApiError) -> bytes:
        return b"data: " + error_body(error) + b"\r\n\r\n"


GEMINI: Final = GeminiApi()


def split_tail(tail: str) -> tuple[str, str, dict[str, list[str]]]:
    """The model, the method and the query. Raises ApiError 404 if there is no method, 400 for a bad model."""
    path, _, query = tail.partition("?")
    model, colon, method = path.rpartition(":")
    if not colon:
        raise unknown_method("")
    if not 0 < len(model) <= _MODEL_LIMIT:
        message = f"The model's name must have 1 to {_MODEL_LIMIT} characters."
        raise ApiError(400, message, code="invalid_value", param="model")
    return model, method, parse_qs(query) if query else {}


def unknown_method(method: str) -> ApiError:
    """For a method that is not served."""
    known = f"'{_GENERATE}', '{_STREAM}', 'countTokens', 'embedContent' and 'batchEmbedContents'"
    return ApiError(404, f"Unknown method '{method}'; there are {known}.", code="unknown_url")


def decode_body(body: bytes) -> tuple[GenerateContentRequest, Json, GatewayOptions]:
    """The request, its fields in camelCase, and Weebill's own. Raises ApiError 400 that names the field.

    A request whose messages have documented members alone is an `exact` one.
    """
    try:
        body = camel_case(body, GenerateContentRequest)
        try:
            request = _decode_exact(body)
        except msgspec.ValidationError:
            request = _decode(body)
        fields = top_level(body)
    except UNREADABLE as error:
        raise invalid_body(error) from error
    return request, fields, take_own(fields)
