"""Shapes that requests and answers of Chat Completions share: usage, reasoning, signatures, citations, data URIs.

Sources: https://platform.openai.com/docs/api-reference/chat/object,
https://openrouter.ai/docs/guides/best-practices/reasoning-tokens (reasoning_details),
https://ai.google.dev/gemini-api/docs/thought-signatures (extra_content)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire.conversation import Citation, Document, Image, Maker, Reasoning
from weebill.wire.costs import UNSAID

_FOREIGN: Final = "weebill:"
# How base64 of each format begins.
_AUDIO_FORMATS: Final = (("UklGR", "wav"), ("SUQz", "mp3"), ("//", "mp3"), ("T2dn", "opus"), ("ZkxhQ", "flac"))
GOOGLE: Final[Maker] = "gemini"
# Fields of a request that say nothing about the answer; a provider that does not know one may go without.
HINTS: Final = frozenset(
    {"user", "metadata", "service_tier", "prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"}
    | {"safety_identifier"}
)


class PromptDetails(Struct, frozen=True):
    """`usage.prompt_tokens_details`."""

    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class CompletionDetails(Struct, frozen=True):
    """`usage.completion_tokens_details`."""

    reasoning_tokens: int | None = None


class UsageReport(Struct, frozen=True, gc=False):
    """`usage` as OpenAI and those who speak its dialect write it.

    `prompt_cache_hit_tokens` is DeepSeek's, `cached_tokens` Moonshot's; `cost`, `is_byok` and `cost_details` are
    OpenRouter's, `cost` Perplexity's, too.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None
    cached_tokens: int | None = None
    cost: Raw = UNSAID
    is_byok: Raw = UNSAID
    cost_details: Raw = UNSAID

    def says_anything(self) -> bool:
        """Tells whether there is any count in it."""
        return self.prompt_tokens is not None or self.completion_tokens is not None or self.total_tokens is not None


class ReasoningDetail(Struct, frozen=True, omit_defaults=True):
    """An entry of `reasoning_details`: a piece of reasoning as clients echo it back untouched.

    `format` is the origin. In a stream entries of the same `index` are put together, so that each has its own.
    """

    type: str
    text: str | None = None
    summary: str | None = None
    data: str | None = None
    signature: str | None = None
    id: str | None = None
    format: str | None = None
    index: int | None = None


def reasoning_of(details: Iterable[ReasoningDetail], default_origin: Maker) -> list[Reasoning]:
    """The pieces of reasoning that `details` are, those of a stream included, whose text comes in several."""
    pieces: list[Reasoning] = []
    last: ReasoningDetail | None = None
    for detail in details:
        piece = reasoning_piece(detail, default_origin)
        if last is not None and goes_on(last, detail):
            pieces[-1] = _joined(pieces[-1], piece)
        else:
            pieces.append(piece)
        last = detail
    return pieces


def goes_on(last: ReasoningDetail, detail: ReasoningDetail) -> bool:
    """Tells whether an entry is of the same piece of reasoning as the one before it."""
    if detail.index is not None and detail.index == last.index:
        return True
    # What is encrypted follows the words about it, under an index of its own.
    encrypted = detail.type == "reasoning.encrypted" and last.type == "reasoning.summary"
    return encrypted and (detail.id, detail.format) == (last.id, last.format)


def reasoning_piece(detail: ReasoningDetail, default_origin: Maker) -> Reasoning:
    """One entry alone."""
    text = detail.text or detail.summary or ""
    return Reasoning(text, detail.signature, detail.data, detail.id, detail.format or default_origin)


def _joined(first: Reasoning, more: Reasoning) -> Reasoning:
    return Reasoning(
        first.text + more.text,
        more.signature or first.signature,
        more.encrypted or first.encrypted,
        more.id or first.id,
        first.origin,
    )


def reasoning_details(piece: Reasoning, first: int) -> list[ReasoningDetail]:
    """The entries for one piece of reasoning, the first of which is number `first` of its message's.

    None if there is nothing opaque in it, whose text alone is of no use.
    """
    if piece.signature is None and piece.encrypted is None and piece.id is None:
        return []
    origin = piece.origin or None
    details = []
    if piece.text or piece.signature is not None:
        # With a signature it is the thinking itself, with an encrypted original only words about it.
        if piece.encrypted is None:
            told = ReasoningDetail("reasoning.text", text=piece.text, signature=piece.signature)
        else:
            told = ReasoningDetail("reasoning.summary", summary=piece.text, signature=piece.signature)
        details.append(told)
    if piece.encrypted is not None or not details:
        details.append(ReasoningDetail("reasoning.encrypted", data=piece.encrypted or ""))
    return [
        ReasoningDetail(
            each.type, each.text, each.summary, each.data, each.signature, piece.id, origin, first + at
        )
        for at, each in enumerate(details)
    ]  # fmt: skip


class GoogleExtra(Struct, frozen=True):
    """`extra_content.google`."""

    thought_signature: str | None = None


class ExtraContent(Struct, frozen=True):
    """`extra_content` of a tool call, as Google's OpenAI-compatible API defines it."""

    google: GoogleExtra | None = None


class FunctionDelta(Struct, frozen=True, omit_defaults=True):
    """A piece of a call: its name at the beginning, then its arguments as JSON text."""

    arguments: str
    name: str | None = None


class ToolCallDelta(Struct, frozen=True, omit_defaults=True):
    """A piece of the tool call number `index`; what follows `function` comes with the first."""

    index: int
    function: FunctionDelta
    id: str | None = None
    type: str | None = None
    extra_content: ExtraContent | None = None


class InputAudio(Struct, frozen=True, forbid_unknown_fields=True):
    """`input_audio`: base64."""

    data: str
    format: str


class File(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """`file`: a data URI, bare base64 of a PDF, or, after OpenRouter, an address in `file_data`; or an id."""

    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class GroqExtra(Struct, frozen=True):
    """`x_groq` of a chunk."""

    usage: UsageReport | None = None


class LogprobsReport(Struct, frozen=True):
    """`logprobs`, as far as they are read."""

    content: list[Raw] | None = None


def marked(signature: str, origin: Maker) -> str:
    """`signature` with its origin before it, for clients replay it to whichever provider they ask next.

    >>> marked("abc", "gemini"), unmarked(marked("abc", "gemini"), "another"), unmarked("abc", "gemini")
    ('weebill:gemini:abc', ('abc', 'gemini'), ('abc', 'gemini'))
    """
    return f"{_FOREIGN}{origin}:{signature}"


def unmarked(signature: str, native: Maker) -> tuple[str, Maker]:
    """Undoes `marked`; a signature without an origin is of `native`, whose field it is in."""
    if not signature.startswith(_FOREIGN):
        return signature, native
    origin, _, rest = signature[len(_FOREIGN) :].partition(":")
    return rest, origin


class UrlCitation(Struct, frozen=True):
    """`annotations[].url_citation`; offsets count characters of the message's text."""

    url: str = ""
    title: str = ""
    start_index: int = 0
    end_index: int = 0


class Annotation(Struct, frozen=True):
    """An entry of `annotations`; other types than "url_citation" have no such field. `index` is for streams."""

    type: str = "url_citation"
    url_citation: UrlCitation | None = None
    index: int | UnsetType = UNSET


def citation_of(annotation: Annotation) -> Citation | None:
    """The citation in an annotation; None if it is something else."""
    cited = annotation.url_citation
    if cited is None:
        return None
    return Citation(cited.url, cited.title or None, None, cited.start_index, cited.end_index)


class ImageUrl(Struct, frozen=True, omit_defaults=True):
    """`image_url`: an http(s) address or a data URI."""

    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Struct, frozen=True):
    """An image that a model made, in `message.images`; `index` is for streams."""

    image_url: ImageUrl
    type: str = "image_url"
    index: int | UnsetType = UNSET


def split_data_uri(uri: str) -> tuple[str, str] | None:
    """The media type and the base64 data of a data URI; None if it is none, or not in base64.

    >>> split_data_uri("data:image/png;base64,QUJD")
    ('image/png', 'QUJD')
    """
    if not uri.startswith("data:"):
        return None
    head, comma, data = uri[5:].partition(",")
    if not comma or not head.endswith(";base64"):
        return None
    return head.partition(";")[0], data


def image_of(image: ImageUrl) -> Image:
    """The image that `image_url` names."""
    parts = split_data_uri(image.url)
    if parts is None:
        return Image(url=image.url, detail=image.detail)
    return Image(media_type=parts[0], data=parts[1], detail=image.detail)


def image_url(image: Image) -> str | None:
    """An image's address or its data URI; None if it is known by an id alone."""
    if image.data is not None:
        return f"data:{image.media_type or 'image/png'};base64,{image.data}"
    return image.url


def file_data(document: Document) -> str | None:
    """A document's data URI; None if its data are elsewhere."""
    if document.data is None:
        return None
    return f"data:{document.media_type or 'application/pdf'};base64,{document.data}"


def audio_format(data: str) -> str:
    """The format of sound in base64, by how it begins; raw samples begin in no way of their own."""
    return next((name for start, name in _AUDIO_FORMATS if data.startswith(start)), "pcm16")
