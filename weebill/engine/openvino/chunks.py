"""Answers as clients are told them: OpenAI's chunks, as llama.cpp's server writes them, or one answer in one piece."""

from __future__ import annotations

import msgspec

from weebill.engine.openvino.request import Wanted
from weebill.engine.openvino.text import Delta

_encode = msgspec.json.encode


class Token(msgspec.Struct, frozen=True):
    """A token of an answer and the logarithm of its odds, as `logprobs` tells of it."""

    id: int
    token: str
    bytes: list[int]
    logprob: float
    top_logprobs: list[None] = []


class Writer:
    """Writes the parts of one answer. `created` is in seconds since 1970."""

    def __init__(self, wanted: Wanted, identity: str, model: str, created: int) -> None:
        self._chat = wanted.is_chat
        kind = ("chat.completion" if self._chat else "text_completion") if not wanted.streams else ""
        self._about: dict[str, object] = {
            "id": f"{'chatcmpl' if self._chat else 'cmpl'}-{identity}",
            "object": kind or ("chat.completion.chunk" if self._chat else "text_completion"),
            "created": created,
            "model": model,
        }

    def first(self, index: int) -> bytes:
        """Returns the chunk that begins a choice of a chat."""
        return self._chunk(index, {"delta": {"role": "assistant", "content": None}})

    def piece(self, index: int, delta: Delta, tokens: list[Token] | None) -> bytes:
        """Returns a chunk that says some more."""
        told: dict[str, object] = {} if tokens is None else {"logprobs": {"content": tokens}}
        if not self._chat:
            return self._chunk(index, {"text": delta.said, **told})
        said = {"reasoning_content": delta.thought} if delta.thought else {}
        return self._chunk(index, {"delta": {**said, **({"content": delta.said} if delta.said else {})}, **told})

    def last(self, index: int, reason: str, word: str | None) -> bytes:
        """Returns the chunk that ends a choice; `word` is the stop word that did, if the client is to know."""
        content: dict[str, object] = {"delta": {}} if self._chat else {"text": ""}
        verbose: dict[str, object] = {} if word is None else {"__verbose": {"stopping_word": word}}
        return _encode({"choices": [{"index": index, "finish_reason": reason, **content}], **self._about, **verbose})

    def usage(self, prompt_tokens: int, completion_tokens: int) -> bytes:
        """Returns the chunk of what the answer took."""
        return _encode({"choices": [], **self._about, "usage": _usage(prompt_tokens, completion_tokens)})

    def whole(self, choices: list[Said], prompt_tokens: int) -> bytes:
        """Returns the answer in one piece."""
        return _encode(
            {
                "choices": [self._choice(index, choice) for index, choice in enumerate(choices)],
                **self._about,
                "usage": _usage(prompt_tokens, sum(choice.tokens for choice in choices)),
            }
        )

    def _choice(self, index: int, choice: Said) -> dict[str, object]:
        told: dict[str, object] = {} if choice.logprobs is None else {"logprobs": {"content": choice.logprobs}}
        common = {"index": index, "finish_reason": choice.reason, **told}
        if not self._chat:
            return {**common, "text": choice.said}
        thought = {"reasoning_content": choice.thought} if choice.thought else {}
        return {**common, "message": {"role": "assistant", "content": choice.said, **thought}}

    def _chunk(self, index: int, content: dict[str, object]) -> bytes:
        return _encode({"choices": [{"index": index, "finish_reason": None, **content}], **self._about})


class Said(msgspec.Struct):
    """A choice of an answer so far."""

    said: str = ""
    thought: str = ""
    reason: str = "stop"
    word: str | None = None
    tokens: int = 0
    logprobs: list[Token] | None = None


def _usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
