"""OpenAI's Responses format: what both its clients and its upstreams write.

One set of types serves both directions; unknown fields are passed over. Items come in more types than are known here,
so whoever reads one looks at its head first.

Source: https://platform.openai.com/docs/api-reference/responses/create and .../responses/object
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

import msgspec
from msgspec import Raw, Struct

from weebill.wire.conversation import Citation, Maker
from weebill.wire.errors import UNREADABLE
from weebill.wire.openai_chat import CompletionDetails, PromptDetails
from weebill.wire.reply import Usage

ORIGIN: Final[Maker] = "openai"
"""The `Maker` of what OpenAI's models make that is opaque."""

NO_ARGUMENTS: Final = "{}"
_FOREIGN: Final = "weebill:"


class CacheBreakpoint(Struct, frozen=True):
    """`prompt_cache_breakpoint`: the prompt up to and including its part is worth keeping."""

    mode: str = "explicit"
    ttl: str | None = None


class AudioData(Struct, frozen=True):
    """`input_audio`: base64."""

    data: str
    format: str


class Content(Struct, frozen=True, omit_defaults=True):
    """One part of an item's content, of any type: what belongs to its type is set."""

    type: str
    text: str | None = None
    refusal: str | None = None
    annotations: list[Raw] | None = None
    logprobs: list[Raw] | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: AudioData | None = None
    prompt_cache_breakpoint: CacheBreakpoint | None = None


def output_text(text: str, annotations: list[Raw] | None = None, logprobs: list[Raw] | None = None) -> Content:
    """A text that a model made; its lists are there even if empty, as the format demands."""
    return Content("output_text", text, annotations=annotations or [], logprobs=logprobs or [])


class Annotation(Struct, frozen=True, omit_defaults=True):
    """`annotations[]` of a text; offsets count its characters."""

    type: str
    url: str | None = None
    title: str | None = None
    start_index: int | None = None
    end_index: int | None = None
    file_id: str | None = None
    filename: str | None = None
    index: int | None = None


_decode_annotation: Final = msgspec.json.Decoder(Annotation).decode


def citation(raw: Raw) -> Citation:
    """The citation in an annotation."""
    try:
        known = _decode_annotation(raw)
    except UNREADABLE:
        return Citation(origin=ORIGIN, raw=raw)
    title = known.title or known.filename or None
    return Citation(known.url, title, None, known.start_index, known.end_index, ORIGIN, raw)


def annotation(cited: Citation) -> Raw:
    """A citation as an annotation. What is quoted has no place there."""
    if cited.origin == ORIGIN and cited.raw is not None:
        return cited.raw
    start, end, title = cited.start or 0, cited.end or 0, cited.title or ""
    if cited.url is not None:
        known = Annotation("url_citation", cited.url, title, start, end)
    else:
        known = Annotation("file_citation", file_id="", filename=title, index=end)
    return Raw(msgspec.json.encode(known))


class ItemHead(Struct, frozen=True):
    """The member that says which type an item is; a message may leave it out."""

    type: str | None = None
    id: str | None = None


class MessageItem(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="message"):
    """A message: what was asked, or one that a model wrote."""

    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[Content]
    id: str | None = None
    status: str | None = None


class FunctionCallItem(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="function_call"):
    """A call that a model made; `arguments` is JSON as text. `namespace` is what its tool is grouped under."""

    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: str | None = None
    namespace: str | None = None


class FunctionOutputItem(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="function_call_output"):
    """The result of a call."""

    call_id: str
    output: str | list[Content]
    id: str | None = None
    status: str | None = None


class ReasoningItem(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="reasoning"):
    """A model's thinking: words about it, the thinking itself where it is open, and its encrypted original."""

    summary: list[Content] | None = None
    content: list[Content] | None = None
    encrypted_content: str | None = None
    id: str | None = None
    status: str | None = None

    def text(self) -> str:
        """The readable part; several summaries are parted by an empty line."""
        return "\n\n".join(part.text for part in self.content or self.summary or () if part.text)


class ImageItem(Struct, frozen=True, omit_defaults=True, tag_field="type", tag="image_generation_call"):
    """An image that a model made, in base64."""

    result: str | None = None
    output_format: str | None = None
    id: str | None = None
    status: str | None = None


class ReferenceItem(Struct, frozen=True, tag_field="type", tag="item_reference"):
    """An item that is stored, by its id."""

    id: str


Item = MessageItem | FunctionCallItem | FunctionOutputItem | ReasoningItem | ImageItem

decode_head: Final = msgspec.json.Decoder(ItemHead).decode
decode_items: Final = msgspec.json.Decoder(list[Raw]).decode


class UsageReport(Struct, frozen=True):
    """`usage` of a response."""

    input_tokens: int | None = None
    input_tokens_details: PromptDetails | None = None
    output_tokens: int | None = None
    output_tokens_details: CompletionDetails | None = None
    total_tokens: int | None = None

    def usage(self) -> Usage:
        """The report as usage."""
        read, written = self.input_tokens_details, self.output_tokens_details
        return Usage.reported(
            self.input_tokens or 0,
            self.output_tokens or 0,
            cached=(read.cached_tokens if read else None) or 0,
            cache_write=(read.cache_write_tokens if read else None) or 0,
            reasoning=(written.reasoning_tokens if written else None) or 0,
        )

    @classmethod
    def of(cls, usage: Usage) -> UsageReport:
        """`usage` as a report."""
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        return cls(
            prompt,
            PromptDetails(usage.cached_tokens, usage.cache_write_tokens),
            completion,
            CompletionDetails(usage.reasoning_tokens),
            prompt + completion,
        )


class Sealed(NamedTuple):
    """Something opaque, whose it is, and what: "" for a signature, "encrypted", or "tool" for that of a call."""

    data: str
    origin: Maker
    kind: Literal["", "encrypted", "tool"]


def seal(data: str, origin: Maker, kind: Literal["", "encrypted", "tool"]) -> str:
    """An `encrypted_content` that holds something opaque; OpenAI's own is left as it is.

    >>> seal("abc", "anthropic", ""), seal("abc", "gemini", "tool"), seal("abc", "openai", "encrypted")
    ('weebill:anthropic:abc', 'weebill:gemini.tool:abc', 'abc')
    """
    if origin == ORIGIN and kind == "encrypted":
        return data
    return f"{_FOREIGN}{origin}.{kind}:{data}" if kind else f"{_FOREIGN}{origin}:{data}"


def unseal(content: str) -> Sealed:
    """Undoes `seal`."""
    if not content.startswith(_FOREIGN):
        return Sealed(content, ORIGIN, "encrypted")
    whose, _, data = content[len(_FOREIGN) :].partition(":")
    if whose.endswith(".tool"):
        return Sealed(data, whose.removesuffix(".tool"), "tool")
    if whose.endswith(".encrypted"):
        return Sealed(data, whose.removesuffix(".encrypted"), "encrypted")
    return Sealed(data, whose, "")


def is_foreign(content: str) -> bool:
    """Tells whether an `encrypted_content` is of no use to a model that speaks this format."""
    return content.startswith(_FOREIGN)
