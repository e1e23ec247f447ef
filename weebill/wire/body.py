"""A request's body, from bytes to a `Call`.

A body is decoded twice: into a struct, which validates the fields that its API documents, and into the
raw JSON of each top-level field, so that whatever the gateway does not know still reaches the upstream.
"""

from __future__ import annotations

import re
from time import sleep
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw

from weebill.wire.call import Call
from weebill.wire.decode_errors import placed, reason_and_path
from weebill.wire.errors import UNREADABLE, ApiError, invalid_value, missing_parameter
from weebill.wire.inbound import NOTHING_OWN, GatewayOptions, Json
from weebill.wire.json_values import decode_object
from weebill.wire.requests import ChatRequest, CompletionRequest
from weebill.wire.tool_texts import with_texts
from weebill.wire.whole_numbers import with_whole_numbers

# Weebill's own
_OWN_FIELDS: Final = frozenset({"drop_params", "provider", "models"})
_LONG: Final = 65_536
_SAYS_NOTHING: Final = (b"null", b"{}")
_MAX_MODELS: Final = 16
_Models = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(max_length=_MAX_MODELS)]

_decode_chat: Final = msgspec.json.Decoder(ChatRequest).decode
_decode_completion: Final = msgspec.json.Decoder(CompletionRequest).decode
_decode_models: Final = msgspec.json.Decoder(_Models | None).decode

# What msgspec says of a body that does not decode
_MISSING: Final = re.compile(r"missing required field `([^`]+)`")


def decode_chat(body: bytes) -> Call:
    """The call in `body`. Raises ApiError 400 that names the field."""
    try:
        return _call(_decode_chat(body), top_level(body))
    except UNREADABLE as error:
        mended = with_whole_numbers(body, ChatRequest) or with_texts(body)
        if mended is not None:
            return decode_chat(mended)
        raise invalid_body(error) from error


def decode_completion(body: bytes) -> Call:
    """The call in `body`. Raises ApiError 400 that names the field."""
    try:
        return _call(_decode_completion(body), top_level(body))
    except UNREADABLE as error:
        mended = with_whole_numbers(body, CompletionRequest)
        if mended is not None:
            return decode_completion(mended)
        raise invalid_body(error) from error


def _call(request: ChatRequest | CompletionRequest, fields: Json) -> Call:
    own = take_own(fields)
    usage = request.stream_options is not None and request.wants_usage
    return Call(request, fields, request.model, bool(request.stream), usage, own)


def top_level(body: bytes) -> Json:
    """The raw JSON of each of the top-level fields in `body`. Raises what is in `UNREADABLE`.

    All of the body must be UTF-8: what stays raw is not looked at again before it is sent on.
    """
    if len(body) >= _LONG:
        sleep(0)  # it is read beside the event loop, which has its turn between two readings
    if not body.isascii():
        body.decode()
    return decode_object(body)


def take_own(fields: Json) -> GatewayOptions:
    """Take Weebill's own fields out of `fields`. Raises ApiError 400 that names the one that is not what it must be."""
    if _OWN_FIELDS.isdisjoint(fields):
        return NOTHING_OWN
    provider = fields.pop("provider", None)
    own = GatewayOptions(
        _flag(fields.pop("drop_params", None)),
        None if provider is None or bytes(provider) in _SAYS_NOTHING else provider,
        _models(fields.pop("models", None)),
    )
    return NOTHING_OWN if own == NOTHING_OWN else own


def _flag(value: Raw | None) -> bool:
    text = b"null" if value is None else bytes(value)
    if text not in (b"true", b"false", b"null"):
        raise ApiError(400, "drop_params must be true or false.", code="invalid_value", param="drop_params")
    return text == b"true"


def _models(value: Raw | None) -> tuple[str, ...]:
    try:
        return () if value is None else _decode_models(value) or ()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"models must be a list of at most {_MAX_MODELS} names."
        raise ApiError(400, message, code="invalid_value", param="models") from error


def invalid_at(error: Exception, path: str) -> ApiError:
    """The error for a part of the body, at `path`, that does not decode."""
    return invalid_body(placed(error, path))


def invalid_body(error: Exception) -> ApiError:
    """The error for a body that does not decode.

    >>> invalid_body(msgspec.ValidationError("Expected `str`, got `int` - at `$.messages[0].role`")).detail.param
    'messages[0].role'
    """
    if not isinstance(error, msgspec.ValidationError):
        return ApiError(400, f"The request body is not valid JSON: {error}.", code="invalid_json")
    reason, where = reason_and_path(str(error))
    missing = _MISSING.search(reason)
    if missing:
        param = f"{where}.{missing.group(1)}" if where else missing.group(1)
        return missing_parameter(param)
    if not where:
        return ApiError(400, f"The request body must be a JSON object: {reason}.", code="invalid_type")
    return invalid_value(where, reason)
