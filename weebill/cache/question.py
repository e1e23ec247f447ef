"""When two requests ask the same: what of a request has a say in its answer, in one form, hashed with a secret.

Whatever is not known to be without influence counts. Order and spacing of JSON do not, nor how a number is written.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, Protocol

import msgspec
from msgspec import Raw, Struct

from weebill.wire.call import Call
from weebill.wire.inbound import Json

DIGEST_BYTES: Final = 32
MAX_SAID: Final = 2000
"""The longest last message, in characters, that is compared by meaning: of a longer one an average says too little."""

# Fields that say how an answer is sent, for whom and how it is billed; the model is named by what it resolves to.
_HOW_SENT: Final = frozenset({"model", "stream", "stream_options"})
_WITHOUT_INFLUENCE: Final = _HOW_SENT | {
    "user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
    "labels",
}  # fmt: skip
# The Responses API shows the request's fields in its answer.
_BY_ENDPOINT: Final[Mapping[str, frozenset[str]]] = {"responses": _HOW_SENT}
# Fields that have a provider look something up, keep something or act. Such an answer is not one to give again.
_ACTS: Final = frozenset({"web_search_options", "search_parameters", "plugins", "mcp_servers", "container", "store"})
_IDLE: Final[tuple[object, ...]] = (None, False, [])
_CLIENTS_TOOLS: Final = frozenset({"function", "custom"})
_FUNCTIONS: Final = {"functionDeclarations"}
# Where each API has what was said.
_SAID: Final[Mapping[str, str]] = {
    "chat.completions": "messages",
    "completions": "prompt",
    "responses": "input",
    "messages": "messages",
    "generateContent": "contents",
}
_PERSON_EXACT: Final = b"weebill answers"
_PERSON_REST: Final = b"weebill rest"

Fields = dict[str, object]


class Endpoint(Protocol):
    """What is asked of an inbound API (`weebill.apis.base.Api`)."""

    name: str

    def stream_headers(self, call: Call) -> bytes: ...


class Question(Struct, frozen=True):
    """A request by what it asks. `key` is the same for the same question.

    `rest` is the same for questions that differ in nothing but `said`, the text of the last message, which is the
    user's; b"" where there is none to compare.
    """

    key: bytes
    rest: bytes = b""
    said: str = ""


def question(
    call: Call, endpoint: Endpoint, model: str, tenant: str, secret: bytes, preferences: Raw | None = None
) -> Question | None:
    """What `call` asks; None if its answer is not one to be given again.

    `model` is what the name in the request resolves to, `tenant` whose answers may be shared, `preferences` the JSON
    that says which deployments may answer; `secret` has at most 64 bytes. Tenants, models, APIs and ways of sending
    (whole, streamed, with usage) never have a key in common.
    """
    ignored = _BY_ENDPOINT.get(endpoint.name, _WITHOUT_INFLUENCE)
    try:
        fields = {name: _decode(value) for name, value in call.fields.items() if name not in ignored}
        if _acts(endpoint.name, fields):
            return None
        form = endpoint.stream_headers(call) + (b"usage" if call.wants_usage else b"") if call.stream else b""
        where = None if preferences is None else _decode(preferences)
        models = [model, *call.own.models]
        place = [tenant, endpoint.name, models, form, call.drop_params, sorted(call.headers.items()), where]
        key = _digest([*place, fields], secret, _PERSON_EXACT)
        said = _said(endpoint.name, fields)
        if said is None:
            return Question(key)
        text, rest = said
        return Question(key, _digest([*place, rest], secret, _PERSON_REST), text)
    except (RecursionError, ValueError):  # msgspec.DecodeError and UnicodeDecodeError are ValueErrors
        # What cannot be read for sure is not compared; whether it can be answered is the upstream's to say.
        return None


def limits_length(fields: Json) -> bool:
    """Tells whether a request says how long its answer may be."""
    limits = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    if any(bytes(fields.get(name, b"null")) != b"null" for name in limits):
        return True
    return b'"maxOutputTokens"' in bytes(fields.get("generationConfig", b""))


def choices(fields: Json) -> int:
    """How many answers a request wants; its API has seen to it that `n` is a number, if anything."""
    n = bytes(fields.get("n", b"null"))
    return 1 if n == b"null" else int(n)


def _number(text: str) -> int | float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is more than a number can be")
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


_decode: Final = msgspec.json.Decoder(float_hook=_number).decode
_encode: Final = msgspec.json.Encoder(order="sorted").encode


def _digest(what: object, secret: bytes, person: bytes) -> bytes:
    return blake2b(_encode(what), digest_size=DIGEST_BYTES, key=secret, person=person).digest()


def _acts(endpoint: str, fields: Fields) -> bool:
    """Tells whether answering does more than to answer."""
    if any(fields.get(name) not in _IDLE for name in _ACTS):
        return True
    if endpoint == "responses" and (fields.get("store") is not False or fields.get("prompt") is not None):
        # Each is kept under an id of its own unless told otherwise; a prompt kept by the provider may change there.
        return True
    tools = fields.get("tools")
    entries = tools if isinstance(tools, list) else [tools] if tools else []
    return not all(isinstance(entry, dict) and _is_clients(entry) for entry in entries)


def _is_clients(tool: dict[str, object]) -> bool:
    """Tells whether it is the client who runs the tool, rather than the provider."""
    kind = tool.get("type")
    if kind is not None:
        return kind in _CLIENTS_TOOLS
    return "name" in tool or tool.keys() <= _FUNCTIONS


def _said(endpoint: str, fields: Fields) -> tuple[str, Fields] | None:
    """The text of the last message, and the fields with a gap in its place."""
    name = _SAID.get(endpoint, "")
    found = _last(fields.get(name))
    if found is None or not 0 < len(found[0]) <= MAX_SAID:
        return None
    return found[0], {**fields, name: found[1]}


def _last(said: object) -> tuple[str, object] | None:
    if isinstance(said, str):
        return said, None
    if not isinstance(said, list) or not said or not isinstance(last := said[-1], dict):
        return None
    if last.get("role", "user") != "user":
        return None
    name = "parts" if "parts" in last else "content"
    content = last.get(name)
    if isinstance(content, list):
        if len(content) != 1 or not isinstance(part := content[0], dict):
            return None
        text, gap = part.get("text"), [{**part, "text": None}]
    else:
        text, gap = content, None
    return (text, [*said[:-1], {**last, name: gap}]) if isinstance(text, str) else None
