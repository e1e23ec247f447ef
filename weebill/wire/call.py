"""A request to an inference endpoint, of whatever API: validated, and field by field as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from weebill.wire.errors import ApiError

Json = dict[str, Raw]
# What the prompt is called, API by API.
_PROMPT_FIELDS = frozenset({"messages", "prompt", "input", "contents", "system", "instructions", "systemInstruction"})


_decode_fields = msgspec.json.Decoder(Json).decode


def top_level(body: bytes) -> Json:
    """The raw JSON of each of the top-level fields in `body`. Raises what is in `UNREADABLE`.

    All of the body must be UTF-8: what stays raw is not looked at again before it is sent on.
    """
    if not body.isascii():
        body.decode()
    return _decode_fields(body)


class InboundRequest(Struct, frozen=True):
    """Base of each API's typed request."""


class Own(Struct, frozen=True):
    """Weebill's own fields of a request, which no upstream is shown.

    `drop_params`: what a target cannot do is dropped rather than refused. `provider` says how to route, as JSON
    (`weebill.routing.preferences`). `models` are tried in turn after the one that is asked for.
    """

    drop_params: bool = False
    provider: Raw | None = None
    models: tuple[str, ...] = ()


NOTHING_OWN: Final = Own()
_OWN_FIELDS: Final = frozenset({"drop_params", "provider", "models"})


class Call(Struct, frozen=True):
    """One request.

    `request` holds the fields that its API documents, validated; `fields` the raw JSON of every top-level field, known
    or not, so that what the gateway does not know still reaches an upstream of the same API. `wants_usage` is whether
    a stream shall show the usage. `own` are Weebill's own fields; they are not among `fields`. `headers` are those of
    the client's that belong to its API.
    """

    request: InboundRequest
    fields: Json
    model: str
    stream: bool = False
    wants_usage: bool = True
    own: Own = NOTHING_OWN
    headers: Mapping[bytes, bytes] = {}

    @property
    def drop_params(self) -> bool:
        """Whether what a target cannot do is dropped rather than refused."""
        return self.own.drop_params

    def prompt_bytes(self) -> int:
        """The length in bytes of the prompt's JSON, for estimates."""
        size = 0
        for name, value in self.fields.items():
            if name in _PROMPT_FIELDS:
                size += len(memoryview(value))
        return size


def take_own(fields: Json) -> Own:
    """Take Weebill's own fields out of `fields`. Raises ApiError 400 that names the one that is not what it must be."""
    if _OWN_FIELDS.isdisjoint(fields):
        return NOTHING_OWN
    provider = fields.pop("provider", None)
    return Own(
        _flag(fields.pop("drop_params", None)),
        None if provider is None or bytes(provider) == b"null" else provider,
        _models(fields.pop("models", None)),
    )


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


_MAX_MODELS: Final = 16
_Models = Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=256)], ...], Meta(max_length=_MAX_MODELS)]
_decode_models: Final = msgspec.json.Decoder(_Models | None).decode
