"""Whole answers in Ollama's format, and what streams write the same way."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, cast

import msgspec
from msgspec import UNSET, Raw, UnsetType

from weebill.apis.ollama.answer_shapes import Answer, CalledFunction, End, Message, TokenLogprob, ToolCall
from weebill.apis.ollama.request_shapes import GenerateBody, OllamaRequest
from weebill.wire.arguments import as_object
from weebill.wire.call import Call
from weebill.wire.conversation import Reasoning, Refusal, Text, ToolUse
from weebill.wire.openai_logprobs import Token, token_logprob
from weebill.wire.reply import Choice, FinishReason, Reply, Usage

ROLE: Final = "assistant"
# Ollama's own words are "stop" and "length"; its clients show others as they are. "pause" is anything but an end.
DONE_REASONS: Final[dict[FinishReason, str]] = {
    "stop": "stop",
    "tool_calls": "stop",
    "length": "length",
    "content_filter": "content_filter",
    "refusal": "content_filter",
    "pause": "length",
}

_encode: Final = msgspec.json.encode
_NOTHING: Final = Choice((), "stop")


def answer(call: Call, reply: Reply) -> bytes:
    """The body of a complete answer.

    The time of its first word is not known, so all of the time counts as that of the answer.
    """
    choice = reply.choices[0] if reply.choices else _NOTHING
    total = time.monotonic_ns() - request_of(call).since
    ended = end(choice.finish, reply.usage, total, UNSET, total)
    return ended_by(_encode(_answer(call, reply.model, reply.created, choice)), ended)


def without_words(call: Call, *, unloads: bool) -> bytes:
    """The answer to a request that only loads its model, or lets it go."""
    ended = End(True, "unload" if unloads else "load")
    return ended_by(_encode(_answer(call, request_of(call).body.model, 0, _NOTHING)), ended)


def _answer(call: Call, model: str, created: int, choice: Choice) -> Answer:
    thinking = "".join([part.text for part in choice.parts if isinstance(part, Reasoning)])
    text = "".join([part.text for part in choice.parts if isinstance(part, Text | Refusal)])
    used = [part for part in choice.parts if isinstance(part, ToolUse)]
    calls = [tool_call(index, part.id, part.name, part.arguments) for index, part in enumerate(used)]
    entries = UNSET if choice.logprobs is None else logprobs(choice.logprobs)
    model, at = model or call.model, created_at(created)
    if is_chat(call):
        message = Message(ROLE, text, thinking or UNSET, calls or UNSET)
        return Answer(model, at, message, logprobs=entries)
    return Answer(model, at, UNSET, text, thinking or UNSET, calls or UNSET, entries)


def ended_by(body: bytes, ended: End) -> bytes:
    """An object with the members of the end."""
    return b"%b,%b" % (body[:-1], _encode(ended)[1:])


def request_of(call: Call) -> OllamaRequest:
    """The request that an Ollama client made."""
    return cast(OllamaRequest, call.request)


def is_chat(call: Call) -> bool:
    """True for a request of `/api/chat`, whose answers are messages."""
    return not isinstance(request_of(call).body, GenerateBody)


def end(reason: FinishReason, usage: Usage, total: int, prompt: int | UnsetType, spoken: int) -> End:
    """The members of the last piece: why it is the last, the counts, and the times in nanoseconds.

    Nothing is said of the time that loading took: only the upstream knows it.
    """
    return End(
        True,
        DONE_REASONS[reason],
        total_duration=total,
        prompt_eval_count=usage.prompt_tokens,
        prompt_eval_duration=prompt,
        eval_count=usage.completion_tokens,
        eval_duration=spoken,
    )


def tool_call(index: int, call_id: str, name: str, arguments: str) -> ToolCall:
    """A call; its arguments are an object."""
    return ToolCall(call_id, CalledFunction(index, name, as_object(arguments)))


def logprobs(entries: Iterable[Raw]) -> list[TokenLogprob]:
    """OpenAI's entries as Ollama has them."""
    tokens = [token_logprob(entry) for entry in entries]
    return [_token(token, [_token(other) for other in token.top_logprobs]) for token in tokens]


def _token(token: Token, others: list[TokenLogprob] | None = None) -> TokenLogprob:
    return TokenLogprob(token.token, token.logprob, token.bytes, others or [])


def created_at(unix: int = 0) -> str:
    """A Unix time in RFC 3339; the time that it is now for 0, and for what no calendar has."""
    try:
        moment = datetime.fromtimestamp(unix, UTC) if unix else datetime.now(UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.now(UTC)
    return f"{moment.replace(tzinfo=None).isoformat()}Z"
