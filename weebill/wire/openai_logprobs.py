"""Entries of Chat Completions' `logprobs.content`, which stand for log probabilities in canonical form, too.

Source: https://platform.openai.com/docs/api-reference/chat/object
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Raw, Struct

from weebill.wire.errors import UNREADABLE
from weebill.wire.lenient import reader


class Token(Struct, frozen=True):
    """A token, the natural logarithm of its probability, and its UTF-8."""

    token: str
    logprob: float
    bytes: list[int] | None = None

    def whole(self) -> Token:
        """With the bytes that its text has, where the provider did not say."""
        return self if self.bytes is not None else Token(self.token, self.logprob, list(self.token.encode()))


class TokenLogprob(Token, frozen=True):
    """An entry: the token chosen, and the likeliest in its place."""

    top_logprobs: list[Token] = []


_decode: Final = msgspec.json.Decoder(TokenLogprob).decode
_read: Final = reader(TokenLogprob)


def token_logprob(entry: Raw) -> TokenLogprob:
    """An entry, as far as it can be read: no answer is lost for one."""
    try:
        return _read(entry)
    except UNREADABLE:
        return TokenLogprob("", 0.0)


def text_logprobs(entries: Iterable[Raw]) -> list[Raw]:
    """Entries as the Responses API has them: there every token has its bytes."""
    return [_text_logprob(entry) for entry in entries]


def _text_logprob(entry: Raw) -> Raw:
    try:
        known = _decode(entry)
    except UNREADABLE:
        return entry
    if known.bytes is not None and all(other.bytes is not None for other in known.top_logprobs):
        return entry
    whole = known.whole()
    others = [other.whole() for other in known.top_logprobs]
    return Raw(msgspec.json.encode(TokenLogprob(whole.token, whole.logprob, whole.bytes, others)))
