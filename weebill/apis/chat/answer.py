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
    LogprobsBody,
    MessageBody,
    QuotedSource,
    UsageBody,
)
from weebill.apis.chat.custom import custom_names
from weebill.wire.arguments import NO_ARGUMENTS
from weebill.wire.call import Call
from weebill.wire.conversation import Audio, Citation, Image, Reasoning, Refusal, Text, ToolUse
from weebill.wire.custom_input import unwrapped
from weebill.wire.openai_chat import (
    Annotation,
    CompletionDetails,
    ExtraContent,
    GoogleExtra,
    ImagePart,
    ImageUrl,
    PromptDetails,
    ReasoningDetail,
    UrlCitation,
    image_url,
    marked,
    reasoning_details,
)
from weebill.wire.openai_chat_request import CalledCustom, CalledFunction, ToolCall
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


def tool_call(part: ToolUse, custom: frozenset[str] = frozenset()) -> ToolCall:
    """An entry of `tool_calls`; `custom` are the names of tools that take text of any form."""
    if part.name in custom:
        return ToolCall(part.id, "custom", custom=CalledCustom(part.name, unwrapped(part.arguments)))
    function = CalledFunction(part.name, part.arguments or NO_ARGUMENTS)
    return ToolCall(part.id, "function", function, extra_content=extra_content(part.signature, part.origin))


def extra_content(signature: str | None, origin: str) -> ExtraContent | None:
    """The place of a call's signature."""
    if signature is None:
        return None
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
    calls: list[ToolCall] = []
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
        elif isinstance(part, ToolUse):
            calls.append(tool_call(part, custom))
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
        function_call=(calls[0].function if legacy and calls else None) or UNSET,
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
