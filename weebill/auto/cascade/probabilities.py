"""A check of the model's confidence, by the probabilities of its tokens."""

from __future__ import annotations

import math
from typing import Final

import msgspec
from msgspec import Struct

from weebill.auto.cascade.verdicts import Verdict
from weebill.wire.reply import Reply


class _Entry(Struct):
    """An entry of OpenAI's `logprobs.content`."""

    logprob: float


_NOT_GIVEN: Final = Verdict("logprobs", None, "no probabilities were given")
_decode: Final = msgspec.json.Decoder(_Entry).decode


def check_probabilities(reply: Reply, mean: float, minimum: float) -> Verdict:
    """Checks that the geometric mean of the tokens' probabilities is at least `mean`, and each at least `minimum`.

    It cannot tell if the upstream gave no probabilities.
    """
    lowest, total, count = 0.0, 0.0, 0
    for choice in reply.choices:
        for entry in choice.logprobs or ():
            try:
                logprob = min(0.0, _decode(entry).logprob)
            except msgspec.DecodeError:
                return _NOT_GIVEN
            lowest, total, count = min(lowest, logprob), total + logprob, count + 1
    if not count:
        return _NOT_GIVEN
    average, least = math.exp(total / count), math.exp(lowest)
    if average < mean:
        return Verdict("logprobs", False, f"its tokens have a probability of {average:.2f} on average")
    if least < minimum:
        return Verdict("logprobs", False, f"one of its tokens has a probability of {least:.3f}")
    return Verdict("logprobs", True, f"mean {average:.2f}, minimum {least:.3f}")
