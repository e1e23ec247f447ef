"""A request to an inference endpoint, of whatever API: validated, and field by field as it came."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from weebill.wire.errors import ApiError

Json = dict[str, Raw]
# What the prompt is called, API by API.
_PROMPT_FIELDS = ("messages", "prompt", "input", "contents", "system", "instructions", "systemInstruction")


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


class Call(Struct, frozen=True):
    """One request.

    `request` holds the fields that its API documents, validated; `fields` the raw JSON of every top-level field, known
    or not, so that what the gateway does not know still reaches an upstream of the same API. `wants_usage` is whether
    a stream shall show the usage. `drop_params` is Weebill's own field of that name: what a target cannot do is
    dropped rather than refused; it is not among `fields`. `headers` are those of the client's that belong to its API.
    """

    request: InboundRequest
    fields: Json
    model: str
    stream: bool = False
    wants_usage: bool = True
    drop_params: bool = False
    headers: Mapping[bytes, bytes] = {}

    def prompt_bytes(self) -> int:
        """The length in bytes of the prompt's JSON, for estimates."""
        return sum(len(memoryview(self.fields[name])) for name in _PROMPT_FIELDS if name in self.fields)


def take_drop_params(fields: Json) -> bool:
    """Take `drop_params` out of `fields`; whether it is set. Raises ApiError 400 unless it is a boolean."""
    value = fields.pop("drop_params", None)
    if value is None:
        return False
    text = bytes(value)
    if text not in (b"true", b"false", b"null"):
        raise ApiError(400, "drop_params must be true or false.", code="invalid_value", param="drop_params")
    return text == b"true"
