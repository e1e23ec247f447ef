"""Reads what Google says beside an answer: where its text comes from, and how likely its tokens were.

Source: https://ai.google.dev/api/generate-content#v1beta.Candidate
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Raw

from weebill.wire.conversation import Citation
from weebill.wire.gemini import ORIGIN, Candidate, LogprobsResult, Source, TokenLogprob

_encode: Final = msgspec.json.encode


def openai_logprobs(result: LogprobsResult) -> tuple[Raw, ...]:
    """The steps as OpenAI's entries."""
    chosen = result.chosen_candidates or []
    likeliest = [step.candidates or [] for step in result.top_candidates or ()]
    likeliest += [[]] * (len(chosen) - len(likeliest))
    return tuple(
        [
            Raw(_encode(_entry(token) | {"top_logprobs": [_entry(other) for other in top]}))
            for token, top in zip(chosen, likeliest, strict=False)
        ]
    )


def _entry(token: TokenLogprob) -> dict[str, object]:
    return {"token": token.token, "logprob": token.log_probability, "bytes": list(token.token.encode())}


def citations(candidate: Candidate, text: str) -> list[Citation]:
    """The citations that a piece has for its text; `text` is all of the text part under way."""
    found: list[Citation] = []
    grounding, copied = candidate.grounding_metadata, candidate.citation_metadata
    if grounding is not None:
        chunks = [
            chunk.web or chunk.retrieved_context or chunk.maps or Source() for chunk in grounding.grounding_chunks or ()
        ]
        used: set[int] = set()
        for support in grounding.grounding_supports or ():
            segment = support.segment
            start, end = None, None
            if segment is not None:
                start, end = _characters(text, segment.start_index or 0, segment.end_index, segment.text)
            for at in support.grounding_chunk_indices or ():
                if 0 <= at < len(chunks):
                    used.add(at)
                    chunk = chunks[at]
                    found.append(Citation(chunk.uri, chunk.title, chunk.text, start, end, ORIGIN))
        found += [
            Citation(chunk.uri, chunk.title, chunk.text, origin=ORIGIN)
            for at, chunk in enumerate(chunks)
            if at not in used
        ]
    if copied is not None:
        for source in copied.citation_sources or copied.citations or ():
            start, end = _characters(text, source.start_index or 0, source.end_index, None)
            found.append(Citation(source.uri, source.title, None, start, end, ORIGIN))
    return found


def _characters(text: str, start: int, end: int | None, expected: str | None) -> tuple[int | None, int | None]:
    """Offsets in bytes of UTF-8 as offsets in characters; None where they are not of this text."""
    encoded = text.encode()
    if end is None or not 0 <= start <= end <= len(encoded):
        return None, None
    piece = encoded[start:end].decode("utf-8", "replace")
    if expected is not None and piece != expected:
        return None, None
    first = len(encoded[:start].decode("utf-8", "replace"))
    return first, first + len(piece)
