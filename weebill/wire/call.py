"""A request to an inference endpoint, of whatever API: validated, and field by field as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar, cast

from msgspec import json, structs

from weebill.catalog.traits import OnUnsupported
from weebill.wire.conversation import Image, Part
from weebill.wire.inbound import NOTHING_OWN, GatewayOptions, InboundRequest, Json

# What the prompt is called, API by API.
_PROMPT_FIELDS: Final = frozenset(
    {"messages", "prompt", "input", "contents", "system", "instructions", "systemInstruction"}
)
_NO_HEADERS: Final[Mapping[bytes, bytes]] = {}
_NO_IMAGES: Final[Mapping[Image, tuple[Part, ...]]] = {}
_NOTHING_OWN: Final[GatewayOptions] = NOTHING_OWN
_encode: Final = json.encode


class Call:
    """One request; a value, which does not change once it is routed.

    `request` holds the fields that its API documents, validated; `fields` the raw JSON of every top-level field, known
    or not, so that what the gateway does not know still reaches an upstream of the same API. `wants_usage` is whether
    a stream shall show the usage. `own` are Weebill's own fields; they are not among `fields`. `headers` are those of
    the client's that belong to its API. `as_served` is whether the answer names the model that served it rather than
    the one that was asked for; `big` whether it takes so long to work on that the event loop must not wait for it.
    `images` is what a model of this machine is given in place of the images, once they have been prepared for it.
    """

    __slots__ = ("as_served", "big", "fields", "headers", "images", "model", "own", "request", "stream", "wants_usage")

    def __init__(
        self,
        request: InboundRequest,
        fields: Json,
        model: str,
        stream: bool = False,
        wants_usage: bool = True,
        own: GatewayOptions = _NOTHING_OWN,
        headers: Mapping[bytes, bytes] = _NO_HEADERS,
        as_served: bool = False,
        big: bool = False,
    ) -> None:
        self.request = request
        self.fields = fields
        self.model = model
        self.stream = stream
        self.wants_usage = wants_usage
        self.own = own
        self.headers = headers
        self.as_served = as_served
        self.big = big
        self.images = _NO_IMAGES

    def replaced(
        self,
        *,
        request: InboundRequest | None = None,
        fields: Json | None = None,
        model: str | None = None,
        stream: bool | None = None,
        own: GatewayOptions | None = None,
    ) -> Call:
        """The same, but for what is given."""
        call = self._with(
            self.request if request is None else request,
            self.fields if fields is None else fields,
            self.model if model is None else model,
            self.stream if stream is None else stream,
            self.own if own is None else own,
        )
        call.as_served, call.big, call.images = self.as_served, self.big, self.images
        return call

    def _with(self, request: InboundRequest, fields: Json, model: str, stream: bool, own: GatewayOptions) -> Call:
        """A call of the same kind."""
        return Call(request, fields, model, stream, self.wants_usage, own, self.headers)

    @property
    def answer_name(self) -> bytes:
        """The JSON of the model's name for the answer; b"" for that of the one that served."""
        return b"" if self.as_served else _encode(self.model)

    @property
    def drop_params(self) -> bool:
        """Tells whether what a target cannot do is dropped rather than refused."""
        return self.own.drop_params

    def on_unsupported(self, target: OnUnsupported) -> OnUnsupported:
        """The policy for what a target cannot do: the request decides, then its alias or key, then the target."""
        own = self.own
        return "drop" if own.drop_params else own.on_unsupported or target

    def drops(self, target: OnUnsupported) -> bool:
        """Tells whether even what is demanded is passed over where a target cannot do it."""
        return self.on_unsupported(target) == "drop"

    def prompt_bytes(self) -> int:
        """The length in bytes of the prompt's JSON, for estimates."""
        size = 0
        for name, value in self.fields.items():
            if name in _PROMPT_FIELDS:
                size += len(memoryview(value))
        return size

    def prompt_head(self, size: int) -> bytes:
        """The first bytes of the prompt's JSON, field by field in the request's order."""
        return b"\0".join(
            [bytes(memoryview(raw)[:size]) for name, raw in self.fields.items() if name in _PROMPT_FIELDS]
        )


AnyCall = TypeVar("AnyCall", bound=Call)


def fitted_as(call: AnyCall, on_unsupported: OnUnsupported | None) -> AnyCall:
    """The call as its alias or key has it fitted to targets; None where they say nothing."""
    if on_unsupported is None:
        return call
    return with_own(call, structs.replace(call.own, on_unsupported=on_unsupported))


def with_own(call: AnyCall, own: GatewayOptions) -> AnyCall:
    """The call with Weebill's own fields so."""
    # Each kind of call gives one of its own kind.
    return cast("AnyCall", call.replaced(own=own))
