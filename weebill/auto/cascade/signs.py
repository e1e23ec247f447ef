"""The signs of an answer by which the verifier judges it: how sure the model was of the words that it wrote.

Of a stream, the beginning is read, so of a whole answer no more than that is, too. Means are used rather than sums, so
that a long answer is not less likely for its length (Murray and Chiang, "Correcting length bias in neural machine
translation", 2018). The first words decide what is said, and are the least certain where a model guesses.
"""

from __future__ import annotations

import string
import struct
from heapq import nsmallest
from statistics import fmean
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from weebill.auto.kinds import words_of
from weebill.auto.texts import question
from weebill.wire.conversation import Conversation
from weebill.wire.reply import Reply

TOKENS: Final = 48
"""The tokens of an answer that are read, from its beginning."""
_FIRST: Final = 2
_LOWEST: Final = 3
_QUESTION_CHARS: Final = 8_000
# What tokens have around words.
_AROUND: Final = string.whitespace + string.punctuation + "«»„“”‘’…–—¿¡。，、！？：；（）「」"
_PACKED: Final = struct.Struct("<4e")
# No logarithm is lower than this: sums of those that an upstream made up would overflow.
_LEAST: Final = -99.0


class Signs(NamedTuple):
    """Means of the natural logarithms of tokens' probabilities.

    `mean` is over all tokens read, `first` over the first two, `lowest` over the three lowest, `new` over those that
    are no words of the question, 0 if there are none.
    """

    mean: float
    first: float
    lowest: float
    new: float


class _Token(Struct):
    """An entry of OpenAI's `logprobs.content`."""

    logprob: float
    token: str = ""


_decode: Final = msgspec.json.Decoder(_Token).decode


def packed(signs: Signs | None) -> bytes:
    """Returns signs in half precision, as they are kept and sent; b"" for none."""
    return b"" if signs is None else _PACKED.pack(*(max(_LEAST, each) for each in signs))


def unpacked(signs: bytes) -> Signs | None:
    """Returns signs that were packed; None if there are none, or others than this version's."""
    return Signs(*_PACKED.unpack(signs)) if len(signs) == _PACKED.size else None


def read_signs(asked: Conversation, reply: Reply) -> Signs | None:
    """Returns the signs of an answer; None if it has no probabilities, or is one of several. Pure, bounded."""
    if len(reply.choices) != 1:
        return None
    [choice] = reply.choices
    try:
        tokens = [_decode(entry) for entry in (choice.logprobs or ())[:TOKENS]]
    except msgspec.DecodeError:
        return None
    if not tokens:
        return None
    logprobs = [max(_LEAST, min(0.0, token.logprob)) for token in tokens]
    known = {"", *words_of(question(asked)[-_QUESTION_CHARS:].lower())}
    said = [token.token.strip(_AROUND).lower() for token in tokens]
    new = [logprob for word, logprob in zip(said, logprobs, strict=True) if word not in known]
    lowest = nsmallest(_LOWEST, logprobs)
    return Signs(fmean(logprobs), fmean(logprobs[:_FIRST]), fmean(lowest), fmean(new) if new else 0.0)
