"""The cache key of a request: all that may influence its answer, in canonical form, hashed with a secret.

Anything that is not known to be without influence counts. Order and spacing of JSON, and the notation of numbers, do
not.
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
"""The longest last message, in characters, that is compared by meaning: a vector says too little of a longer one."""

# Fields about how an answer is sent, for whom and how it is billed; the model counts by its resolved name.
_HOW_SENT: Final = frozenset({"model", "stream", "stream_options"})
_WITHOUT_INFLUENCE: Final = _HOW_SENT | {
    "user", "metadata", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options",
    "labels", "keep_alive",
}  # fmt: skip
# The Responses API repeats the request's fields in its answer.
_BY_ENDPOINT: Final[Mapping[str, frozenset[str]]] = {"responses": _HOW_SENT}
# Fields that make a provider look something up, store something or act. Such answers are not repeated.
_ACTS: Final = frozenset({"web_search_options", "search_parameters", "plugins", "mcp_servers", "container", "store"})
_IDLE: Final[tuple[object, ...]] = (None, False, [])
_CLIENTS_TOOLS: Final = frozenset({"function", "custom"})
_FUNCTIONS: Final = {"functionDeclarations"}
# The field with the conversation, in each API.
_SAID: Final[Mapping[str, str]] = {
    "chat.completions": "messages",
    "completions": "prompt",
    "responses": "input",
    "messages": "messages",
    "generateContent": "contents",
    "ollama.chat": "messages",
    "ollama.generate": "prompt",
}
# Where APIs have the limit of an answer's length, other than at the top.
_LIMITS: Final = (("generationConfig", b'"maxOutputTokens"'), ("options", b'"num_predict"'))
_PERSON_EXACT: Final = b"weebill answers"
_PERSON_REST: Final = b"weebill rest"

Fields = dict[str, object]


class Endpoint(Protocol):
    """The part of a client's API that is used here (`weebill.apis.base.Api`)."""

    name: str

    def stream_headers(self, call: Call) -> bytes: ...


class Question(Struct, frozen=True):
    """A request as a cache key. `key` is the same for the same question.

    `rest` is the same for questions that differ only in `said`, the text of the last message, which is the user's; b""
    if there is none to compare.
    """

    key: bytes
    rest: bytes = b""
    said: str = ""


def question(
    call: Call, endpoint: Endpoint, model: str, tenant: str, secret: bytes, preferences: Raw | None = None
) -> Question | None:
    """Returns the question of `call`; None if its answer must not be repeated.

    `model` is the resolved name, `tenant` limits who shares answers, `preferences` is the JSON that limits which
    deployments may answer; `secret` has at most 64 bytes. Tenants, models, APIs and ways of sending (complete,
    streamed, with usage) never share a key.
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
        # An undecodable request is not compared; the upstream judges it.
        return None


def limits_length(fields: Json) -> bool:
    """True if a request limits the length of its answer."""
    limits = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    if any(bytes(fields.get(name, b"null")) != b"null" for name in limits):
        return True
    return any(name in bytes(fields.get(holder, b"")) for holder, name in _LIMITS)


def choices(fields: Json) -> int:
    """Returns the number of answers that a request wants; its API has checked that `n` is a number."""
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
    """True if answering has side effects, or depends on more than the request."""
    if any(fields.get(name) not in _IDLE for name in _ACTS):
        return True
    if endpoint == "responses" and (fields.get("store") is not False or fields.get("prompt") is not None):
        # Each is stored under its own id unless the request says otherwise; a prompt stored at the provider may change.
        return True
    tools = fields.get("tools")
    entries = tools if isinstance(tools, list) else [tools] if tools else []
    return not all(isinstance(entry, dict) and _is_clients(entry) for entry in entries)


def _is_clients(tool: dict[str, object]) -> bool:
    """True if the client runs the tool, not the provider."""
    kind = tool.get("type")
    if kind is not None:
        return kind in _CLIENTS_TOOLS
    return "name" in tool or tool.keys() <= _FUNCTIONS


def _said(endpoint: str, fields: Fields) -> tuple[str, Fields] | None:
    """Returns the text of the last message, and the fields with a gap in its place."""
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
