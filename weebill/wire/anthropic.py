"""Anthropic's Messages API as types: the blocks, answers, events and errors that both directions need.

These are the forms that Anthropic documents. What clients send besides is set aside by who reads it
(`weebill.apis.anthropic.tolerant`); what upstreams send is read as far as it can be (`weebill.wire.lenient`).

Source: https://platform.claude.com/docs/en/api/messages, .../build-with-claude/streaming and .../api/errors
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Raw, Struct

from weebill.wire.conversation import CacheMark, Citation, Maker
from weebill.wire.errors import UNREADABLE
from weebill.wire.reply import FinishReason

ORIGIN: Final[Maker] = "anthropic"
VERSION: Final = "2023-06-01"

# --- What a conversation is made of, in requests and (text, thinking, tool_use) in answers.


class CacheControl(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`cache_control`: everything up to here shall be kept; without `ttl` for five minutes."""

    type: Literal["ephemeral"]
    ttl: CacheMark | None = None


_CACHE_CONTROLS: Final[dict[CacheMark | None, CacheControl | None]] = {
    None: None,
    "5m": CacheControl("ephemeral"),
    "1h": CacheControl("ephemeral", "1h"),
}


def cache_mark(control: CacheControl | None) -> CacheMark | None:
    """The canonical mark for a `cache_control`."""
    return None if control is None else control.ttl or "5m"


def cache_control(mark: CacheMark | None) -> CacheControl | None:
    """The `cache_control` for a canonical mark."""
    return _CACHE_CONTROLS[mark]


class Base64Source(Struct, frozen=True, tag="base64", forbid_unknown_fields=True):
    """Bytes of an image or a PDF."""

    media_type: str
    data: str


class UrlSource(Struct, frozen=True, tag="url", forbid_unknown_fields=True):
    """Something to be fetched by the provider."""

    url: str


class FileSource(Struct, frozen=True, tag="file", forbid_unknown_fields=True):
    """Something uploaded to the provider before."""

    file_id: str


class TextSource(Struct, frozen=True, tag="text", forbid_unknown_fields=True):
    """A document that is plain text."""

    media_type: Literal["text/plain"]
    data: str


class CitationsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Says whether a document is to be cited."""

    enabled: bool = False


class TextBlock(Struct, frozen=True, tag="text", omit_defaults=True, forbid_unknown_fields=True):
    """Text; `citations` as answers have them."""

    text: str
    citations: list[Raw] | None = None
    cache_control: CacheControl | None = None


class ImageBlock(Struct, frozen=True, tag="image", omit_defaults=True, forbid_unknown_fields=True):
    """An image."""

    source: Base64Source | UrlSource | FileSource
    cache_control: CacheControl | None = None


class DocumentBlock(Struct, frozen=True, tag="document", omit_defaults=True, forbid_unknown_fields=True):
    """A PDF or plain text; `context` is told to the model but never cited."""

    source: Base64Source | UrlSource | FileSource | TextSource
    title: str | None = None
    context: str | None = None
    citations: CitationsConfig | None = None
    cache_control: CacheControl | None = None


class DirectCaller(Struct, frozen=True, forbid_unknown_fields=True):
    """The caller of a tool: the model itself. Anthropic's own code execution could too, but only there."""

    type: Literal["direct"]


class ToolUseBlock(Struct, frozen=True, tag="tool_use", omit_defaults=True, forbid_unknown_fields=True):
    """A call; `input` is an object."""

    id: str
    name: str
    input: Raw
    caller: DirectCaller | None = None
    cache_control: CacheControl | None = None


class ToolResultBlock(Struct, frozen=True, tag="tool_result", omit_defaults=True, forbid_unknown_fields=True):
    """The result of a call."""

    tool_use_id: str
    content: str | list[TextBlock | ImageBlock | DocumentBlock] | None = None
    is_error: bool | None = None
    cache_control: CacheControl | None = None


class ThinkingBlock(Struct, frozen=True, tag="thinking", forbid_unknown_fields=True):
    """Thinking, and the signature that vouches for it."""

    thinking: str
    signature: str


class RedactedThinkingBlock(Struct, frozen=True, tag="redacted_thinking", forbid_unknown_fields=True):
    """Thinking that only the provider can read."""

    data: str


Block = TextBlock | ImageBlock | DocumentBlock | ToolUseBlock | ToolResultBlock | ThinkingBlock | RedactedThinkingBlock


class Message(Struct, frozen=True, forbid_unknown_fields=True):
    """One message; "system" is for instructions in the middle of a conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


NOTHING: Final = Raw()


class ToolEntry(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A tool with a schema. What follows `cache_control` is for Anthropic's models alone."""

    name: Annotated[str, Meta(min_length=1)]
    input_schema: Raw
    description: str | None = None
    type: str | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    input_examples: Raw = NOTHING
    allowed_callers: list[str] | None = None
    defer_loading: bool | None = None
    eager_input_streaming: bool | None = None


class ToolChoice(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`tool_choice`: "auto", "any", "none", or "tool", to which alone `name` belongs."""

    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`thinking`: "enabled", to which alone `budget_tokens` belongs, "adaptive", "disabled" or "between_tools"."""

    type: str
    budget_tokens: int | None = None
    display: str | None = None


class JsonFormat(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`output_config.format`; `schema` is an object."""

    type: str
    schema: Raw
    name: str | None = None
    description: str | None = None


class Metadata(Struct, frozen=True, forbid_unknown_fields=True):
    """`metadata`."""

    user_id: str | None = None


class OutputConfig(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`output_config`."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: JsonFormat | None = None


# --- Opaque things of other origins, in the fields that clients send back untouched.

_PREFIX: Final = "weebill:"
_Kind = Literal["", "encrypted", "tool"]
_KINDS: Final[dict[str, _Kind]] = {"encrypted": "encrypted", "tool": "tool"}


class Opaque(Struct, frozen=True):
    """A signature or encrypted thinking, and where it is from.

    `kind` is "" as the field says, "encrypted" for encrypted thinking in a signature's place, and "tool" for a tool
    call's signature. `id` is that of an OpenAI reasoning item.
    """

    value: str
    origin: Maker = ORIGIN
    kind: _Kind = ""
    id: str | None = None

    def written(self) -> str:
        """As Anthropic's clients get it: their own as it is, another's as `weebill:<origin>[.<kind>][@<id>]:<value>`.

        >>> Opaque("abc", "gemini", "tool").written()
        'weebill:gemini.tool:abc'
        """
        if self.origin == ORIGIN and not self.kind and self.id is None:
            return self.value
        kind = f".{self.kind}" if self.kind else ""
        item = f"@{self.id}" if self.id is not None else ""
        return f"{_PREFIX}{self.origin}{kind}{item}:{self.value}"

    @classmethod
    def read(cls, text: str) -> Opaque:
        """Reads what `written` wrote. Whatever else is Anthropic's own."""
        head, colon, value = text.removeprefix(_PREFIX).partition(":")
        if not text.startswith(_PREFIX) or not colon:
            return cls(text)
        head, at, item = head.partition("@")
        origin, _, kind = head.partition(".")
        return cls(value, origin, _KINDS.get(kind, ""), item if at else None)


# --- Citations.


class _CitationFields(Struct, frozen=True):
    """The fields that the kinds of citation have in common, more or less."""

    cited_text: str | None = None
    url: str | None = None
    source: str | None = None
    title: str | None = None
    document_title: str | None = None


class WebCitation(Struct, frozen=True, tag="web_search_result_location"):
    """A citation of a page."""

    url: str
    title: str | None
    cited_text: str
    encrypted_index: str = ""


class SearchCitation(Struct, frozen=True, tag="search_result_location"):
    """A citation of something without an address; `source` says what."""

    source: str
    title: str | None
    cited_text: str
    search_result_index: int = 0
    start_block_index: int = 0
    end_block_index: int = 1


_decode_citation = msgspec.json.Decoder(_CitationFields).decode
_encode = msgspec.json.encode


def citation(raw: Raw) -> Citation:
    """A citation in canonical form, with nothing but `raw` if it is of no kind that is known.

    Its offsets are of the cited document rather than of the answer, and so stay in `raw` alone.
    """
    try:
        fields = _decode_citation(raw)
    except UNREADABLE:
        fields = _CitationFields()
    source = fields.source
    url = fields.url or (source if source and source.startswith(("http://", "https://")) else None)
    # A copy, on one line: what was decoded is a view of all of the message that it came in.
    own = Raw(msgspec.json.format(bytes(raw), indent=-1))
    return Citation(url, fields.title or fields.document_title, fields.cited_text, origin=ORIGIN, raw=own)


def citation_written(cited: Citation) -> Raw:
    """A citation in Anthropic's form: as it was if it is Anthropic's own, otherwise with the kind that fits."""
    if cited.raw is not None and cited.origin == ORIGIN:
        return cited.raw
    if cited.url is not None:
        return Raw(_encode(WebCitation(cited.url, cited.title, cited.quote or "")))
    return Raw(_encode(SearchCitation(cited.title or "", cited.title, cited.quote or "")))


# --- Answers.


class StopDetails(Struct, frozen=True, omit_defaults=True):
    """`stop_details`: why an answer was refused; `category` is the policy that a classifier enforced."""

    type: str = ""
    category: str | None = None
    explanation: str | None = None


STOP_REASONS: Final[dict[str, FinishReason]] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
}

# --- Errors.

ERROR_STATUS: Final[dict[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "conflict_error": 409,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The status that goes with each error type."""


class ErrorDetail(Struct, frozen=True):
    """The inner object of an error."""

    type: str = "api_error"
    message: str = ""


class ErrorBody(Struct, frozen=True, tag="error", omit_defaults=True):
    """A whole error body."""

    error: ErrorDetail
    request_id: str | None = None
