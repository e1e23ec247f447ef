"""Answers in the form of Chat Completions.

Beyond OpenAI's own fields a message has `reasoning_content` and, where there is something opaque to send back,
`reasoning_details`; `images` for those a model made; `citations` for sources that have no address.

Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from weebill.apis.chat.answer_shapes import (
    AudioBody,
    ChoiceBody,
    CompletionBody,
    CustomBody,
    CustomCallBody,
    LogprobsBody,
    MessageBody,
    QuotedSource,
    UsageBody,
)
from weebill.apis.chat.custom import custom_names
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Citation, Image, Reasoning, Refusal, Text, ToolUse
from weebill.wire.custom_input import unwrapped
from weebill.wire.openai_chat import (
    Annotation,
    CalledFunction,
    CompletionDetails,
    ExtraContent,
    GoogleExtra,
    ImagePart,
    ImageUrl,
    PromptDetails,
    ReasoningDetail,
    UrlCitation,
    WrittenCall,
    image_url,
    marked,
    reasoning_details,
)
from weebill.wire.reply import Choice, FinishReason, Reply, Usage

# "pause" is a turn that is to be continued, so anything but an end; a refusal without words has nothing else to show.
FINISH_REASONS: Final[dict[FinishReason, str]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "length",
}
_encode = msgspec.json.encode


def answer(call: Call, reply: Reply) -> bytes:
    """The body of a complete answer."""
    legacy = "functions" in call.fields
    custom = custom_names(call)
    body = CompletionBody(
        own_id(reply.id, "chatcmpl"),
        "chat.completion",
        reply.created or int(time.time()),
        reply.model or call.model,
        [_choice(index, choice, legacy, custom) for index, choice in enumerate(reply.choices)],
        usage_body(reply.usage),
    )
    return _encode(body)


def own_id(given: str, prefix: str) -> str:
    """The upstream's id of an answer if it has the shape of this API's, else one of ours."""
    return given if given.startswith(f"{prefix}-") else new_id(prefix)


def new_id(prefix: str) -> str:
    """An id where the upstream gave none."""
    return f"{prefix}-{secrets.token_hex(12)}"


def usage_body(usage: Usage) -> UsageBody:
    """`usage`; `cache_write_tokens` is there as in OpenAI's own."""
    return UsageBody(
        usage.prompt_tokens,
        usage.completion_tokens,
        usage.prompt_tokens + usage.completion_tokens,
        PromptDetails(usage.cached_tokens, usage.cache_write_tokens),
        CompletionDetails(usage.reasoning_tokens),
    )


def finish_reason(reason: FinishReason, *, refused: bool, legacy: bool) -> str:
    """OpenAI's word for why a choice ended; `refused` is whether its message has a refusal."""
    if reason == "refusal" and refused:
        return "stop"
    if reason == "tool_calls" and legacy:
        return "function_call"
    return FINISH_REASONS[reason]


def tool_call(part: ToolUse) -> WrittenCall:
    """One entry of `tool_calls`."""
    extra = extra_content(part.signature, part.origin)
    return WrittenCall(part.id, CalledFunction(part.name, part.arguments or "{}"), extra_content=extra)


def custom_call(part: ToolUse) -> CustomCallBody:
    """One entry of `tool_calls` for a call of a custom tool."""
    return CustomCallBody(part.id, CustomBody(part.name, unwrapped(part.arguments)))


def extra_content(signature: str | None, origin: str) -> ExtraContent | UnsetType:
    """Where a call's signature goes."""
    if signature is None:
        return UNSET
    return ExtraContent(GoogleExtra(marked(signature, origin)))


def sources(citations: Iterable[Citation], start: int, length: int) -> tuple[list[Annotation], list[QuotedSource]]:
    """Citations of a text part that begins at `start` in the message and has `length` characters so far."""
    annotations, quoted = [], []
    for citation in citations:
        begin = start + (citation.start or 0)
        end = start + (length if citation.end is None else citation.end)
        if citation.url:
            annotations.append(Annotation("url_citation", UrlCitation(citation.url, citation.title or "", begin, end)))
        else:
            quoted.append(QuotedSource(begin, end, citation.title, citation.quote))
    return annotations, quoted


def _choice(index: int, choice: Choice, legacy: bool, custom: frozenset[str]) -> ChoiceBody:
    parts = choice.parts
    if len(parts) == 1 and isinstance(parts[0], Text) and not parts[0].citations:
        message, refused = MessageBody("assistant", parts[0].text, None), False
    else:
        message = _message(choice, legacy, custom)
        refused = message.refusal is not None
    logprobs = None if choice.logprobs is None else LogprobsBody(choice.logprobs)
    return ChoiceBody(index, message, logprobs, finish_reason(choice.finish, refused=refused, legacy=legacy))


def _message(choice: Choice, legacy: bool, custom: frozenset[str]) -> MessageBody:
    text, thoughts, refusals = "", [], []
    annotations: list[Annotation] = []
    quoted: list[QuotedSource] = []
    calls: list[WrittenCall | CustomCallBody] = []
    called: CalledFunction | UnsetType = UNSET
    details: list[ReasoningDetail] = []
    images: list[ImagePart] = []
    audio: AudioBody | UnsetType = UNSET
    for part in choice.parts:
        if isinstance(part, Text):
            if part.citations:
                found, without_url = sources(part.citations, len(text), len(part.text))
                annotations += found
                quoted += without_url
            text += part.text
        elif isinstance(part, ToolUse) and part.name in custom:
            calls.append(custom_call(part))
        elif isinstance(part, ToolUse):
            call = tool_call(part)
            called = call.function if called is UNSET else called
            calls.append(call)
        elif isinstance(part, Reasoning):
            thoughts.append(part.text)
            details += reasoning_details(part, len(details))
        elif isinstance(part, Refusal):
            refusals.append(part.text)
        elif isinstance(part, Image):
            images.append(image_part(part))
        elif isinstance(part, Audio):
            audio = audio_body(part)
    refusal = "".join(refusals) if refusals else None
    absent = None if calls or refusals or audio is not UNSET else ""
    return MessageBody(
        "assistant",
        text or absent,
        refusal,
        tool_calls=UNSET if legacy else calls or UNSET,
        function_call=called if legacy else UNSET,
        annotations=annotations or UNSET,
        citations=quoted or UNSET,
        audio=audio,
        images=images or UNSET,
        reasoning_content="".join(thoughts) or UNSET,
        reasoning_details=details or UNSET,
    )


def image_part(image: Image) -> ImagePart:
    """An entry of `images`."""
    return ImagePart(ImageUrl(image_url(image) or "", image.detail))


def audio_body(audio: Audio) -> AudioBody:
    """`audio`."""
    return AudioBody(audio.id or new_id("audio"), audio.data, audio.transcript or "")
