"""A request to an inference endpoint, of whatever API: validated, and field by field as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec
from msgspec import Raw, Struct, structs

from weebill.catalog.traits import OnUnsupported

Json = dict[str, Raw]
# What the prompt is called, API by API.
_PROMPT_FIELDS = frozenset({"messages", "prompt", "input", "contents", "system", "instructions", "systemInstruction"})


class InboundRequest(Struct, frozen=True, gc=False):
    """Base of each API's typed request. None can refer to itself, so the garbage collector need not look at them."""

    @property
    def choices(self) -> int:
        """How many answers are asked for."""
        return 1


class Own(Struct, frozen=True):
    """Weebill's own fields of a request, which no upstream is shown.

    `drop_params`: what a target cannot do is dropped rather than refused. `provider` says how to route, as JSON
    (`weebill.routing.preferences`). `models` are tried in turn after the one that is asked for. `on_unsupported` is
    what an alias or an API key says; None where the target decides.
    """

    drop_params: bool = False
    provider: Raw | None = None
    models: tuple[str, ...] = ()
    on_unsupported: OnUnsupported | None = None


NOTHING_OWN: Final = Own()


class Call(Struct, frozen=True, gc=False):
    """One request.

    `request` holds the fields that its API documents, validated; `fields` the raw JSON of every top-level field, known
    or not, so that what the gateway does not know still reaches an upstream of the same API. `wants_usage` is whether
    a stream shall show the usage. `own` are Weebill's own fields; they are not among `fields`. `headers` are those of
    the client's that belong to its API. `as_served` is whether the answer names the model that served it rather than
    the one that was asked for; `big` whether it takes so long to work on that the event loop must not wait for it.
    """

    request: InboundRequest
    fields: Json
    model: str
    stream: bool = False
    wants_usage: bool = True
    own: Own = NOTHING_OWN
    headers: Mapping[bytes, bytes] = {}
    as_served: bool = False
    big: bool = False

    @property
    def answer_name(self) -> bytes:
        """The JSON of the model's name for the answer; b"" for that of the one that served."""
        return b"" if self.as_served else msgspec.json.encode(self.model)

    @property
    def drop_params(self) -> bool:
        """Tells whether what a target cannot do is dropped rather than refused."""
        return self.own.drop_params

    def on_unsupported(self, target: OnUnsupported) -> OnUnsupported:
        """What becomes of what a target cannot do: the request decides, then its alias or key, then the target."""
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


AnyCall = TypeVar("AnyCall", bound=Call)


def fitted_as(call: AnyCall, on_unsupported: OnUnsupported | None) -> AnyCall:
    """The call as its alias or key has it fitted to targets; None where they say nothing."""
    if on_unsupported is None:
        return call
    return structs.replace(call, own=structs.replace(call.own, on_unsupported=on_unsupported))
