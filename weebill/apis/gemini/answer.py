"""Answers in Google's generateContent format.

Counts of tokens written to a cache have no field here; cached and thinking ones have.

Source: https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from secrets import token_hex
from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.call import Call
from weebill.wire.conversation import Citation, Text
from weebill.wire.gemini import (
    Candidate,
    Content,
    GenerateContentResponse,
    GroundingChunk,
    GroundingMetadata,
    GroundingSupport,
    LogprobsResult,
    Part,
    Segment,
    Source,
    TokenLogprob,
    TopCandidates,
    UsageMetadata,
)
from weebill.wire.gemini_parts import model_parts
from weebill.wire.openai_logprobs import Token, token_logprob
from weebill.wire.reply import Choice, FinishReason, Reply, Usage

FINISH_REASONS: Final[dict[FinishReason, tuple[str, str | None]]] = {
    "stop": ("STOP", None),
    "tool_calls": ("STOP", None),
    "length": ("MAX_TOKENS", None),
    "content_filter": ("SAFETY", None),
    "refusal": ("SAFETY", "The model refused to answer."),
    "pause": ("OTHER", "The provider paused the turn; send the conversation again with it to have it continued."),
}
"""Google's reason and, where that does not tell, its message."""

_encode: Final = msgspec.json.encode
# Google's ids have no prefix, as those of others have.
_is_own_id: Final = re.compile(r"(?!(?:msg|resp)_|(?:chatcmpl|cmpl|gen)-)[A-Za-z0-9_-]{16,28}").fullmatch


def answer(call: Call, reply: Reply) -> bytes:
    """The body of a complete answer."""
    return _encode(
        GenerateContentResponse(
            candidates=[_candidate(choice, index) for index, choice in enumerate(reply.choices)],
            usage_metadata=usage_metadata(reply.usage),
            model_version=reply.model or call.model,
            response_id=response_id(reply.id),
        )
    )


def response_id(given: str) -> str:
    """The upstream's own id if it has the shape of this API's, else one of ours.

    >>> response_id("KnTqaKqFJ9qRvdIP4dW7oQ8"), len(response_id("msg_01XFDUDYJgAACzvnptvVoYEL"))
    ('KnTqaKqFJ9qRvdIP4dW7oQ8', 22)
    """
    return given if _is_own_id(given) else token_hex(11)


def _candidate(choice: Choice, index: int) -> Candidate:
    parts = model_parts(choice.parts, to_client=True)
    reason, message = FINISH_REASONS[choice.finish]
    grounding = None
    if any(isinstance(part, Text) and part.citations for part in choice.parts):
        grounding = _grounding(choice, parts)
    return Candidate(
        content=Content(parts=[*parts] or None, role="model"),
        finish_reason=reason,
        finish_message=message,
        index=index,
        logprobs_result=None if choice.logprobs is None else logprobs_result(choice.logprobs),
        grounding_metadata=grounding,
    )


def usage_metadata(usage: Usage) -> UsageMetadata:
    """Tokens as Google counts them: what was thought is not among the candidates'."""
    return UsageMetadata(
        prompt_token_count=usage.prompt_tokens,
        candidates_token_count=usage.completion_tokens - usage.reasoning_tokens,
        total_token_count=usage.prompt_tokens + usage.completion_tokens,
        cached_content_token_count=usage.cached_tokens or None,
        thoughts_token_count=usage.reasoning_tokens or None,
    )


def logprobs_result(entries: Iterable[Raw]) -> LogprobsResult:
    """OpenAI's entries as Google's steps."""
    steps = [token_logprob(entry) for entry in entries]
    tops = [TopCandidates(candidates=[_written(top) for top in step.top_logprobs]) for step in steps]
    return LogprobsResult(
        chosen_candidates=[_written(step) for step in steps],
        top_candidates=tops if any(step.top_logprobs for step in steps) else None,
    )


def _written(token: Token) -> TokenLogprob:
    return TokenLogprob(token=token.token, log_probability=token.logprob)


def _grounding(choice: Choice, parts: list[Part]) -> GroundingMetadata | None:
    """Each text's citations, with the index of the part that it became."""
    writer = GroundingWriter()
    at = 0
    for part in choice.parts:
        if not isinstance(part, Text):
            continue
        while parts[at].thought or parts[at].text != part.text:
            at += 1
        for citation in part.citations:
            writer.add(citation, part.text, at)
        at += 1
    return writer.metadata()


class GroundingWriter:
    """Gathers citations as Google has them: each source once, and which pieces of text it backs."""

    def __init__(self) -> None:
        self._places: dict[tuple[str | None, str | None, str | None], int] = {}
        self._supports: list[GroundingSupport] = []

    def add(self, citation: Citation, text: str, part: int | None = None) -> None:
        """A citation in `text`, which is the part of that index."""
        source = (citation.url, citation.title, citation.quote)
        at = self._places.setdefault(source, len(self._places))
        if citation.start is None or citation.end is None:
            return
        piece = text[citation.start : citation.end]
        start = len(text[: citation.start].encode())
        segment = Segment(
            start_index=start or None, end_index=start + len(piece.encode()), part_index=part or None, text=piece
        )
        self._supports.append(GroundingSupport(segment=segment, grounding_chunk_indices=[at]))

    def metadata(self) -> GroundingMetadata | None:
        """All of it; None if there is none."""
        if not self._places:
            return None
        return GroundingMetadata(
            grounding_chunks=[_chunk(*source) for source in self._places], grounding_supports=self._supports or None
        )


def _chunk(url: str | None, title: str | None, quote: str | None) -> GroundingChunk:
    if quote is None:
        return GroundingChunk(web=Source(uri=url, title=title))
    return GroundingChunk(retrieved_context=Source(uri=url, title=title, text=quote))
