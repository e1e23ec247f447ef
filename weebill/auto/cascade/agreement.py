"""A check that further samples agree with the answer.

Source: Wang et al., "Self-consistency improves chain of thought reasoning in language models", 2022: answers on which
samples agree are more often right.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from weebill.auto.cascade.verdicts import Verdict, text_of
from weebill.wire.conversation import ToolUse
from weebill.wire.reply import Choice, Reply

_WORD: Final = re.compile(r"\w+")
_NUMBER: Final = re.compile(r"-?\d+(?:[.,]\d+)*")
# The share of words that two texts of the same meaning have in common.
_SIMILAR: Final = 0.5


def check_agreement(reply: Reply, others: Sequence[Reply], share: float) -> Verdict:
    """Checks that at least `share` of all samples, the answer included, agree with the answer."""
    samples = [reply, *others]
    agreeing = sum(_agree(reply, each) for each in samples)
    return Verdict("agreement", agreeing >= share * len(samples) - 1e-9, f"{agreeing} of {len(samples)} agree")


def _agree(one: Reply, other: Reply) -> bool:
    if len(one.choices) != len(other.choices):
        return False
    return all(_same(a, b) for a, b in zip(one.choices, other.choices, strict=True))


def _same(one: Choice, other: Choice) -> bool:
    if _calls(one) != _calls(other):
        return False
    a, b = text_of(one), text_of(other)
    if a == b:
        return True
    # For sums and the like, the last number is the answer, whatever the words.
    numbers, theirs = _NUMBER.findall(a), _NUMBER.findall(b)
    if bool(numbers) != bool(theirs) or (numbers and numbers[-1] != theirs[-1]):
        return False
    words, their_words = set(_WORD.findall(a.lower())), set(_WORD.findall(b.lower()))
    return len(words & their_words) >= _SIMILAR * len(words | their_words)


def _calls(choice: Choice) -> list[tuple[str, bytes]]:
    """Returns the tool calls, with their arguments in canonical JSON."""
    return [(part.name, _ordered(part.arguments)) for part in choice.parts if isinstance(part, ToolUse)]


def _ordered(arguments: str) -> bytes:
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments), order="deterministic")
    except (msgspec.DecodeError, RecursionError):
        return arguments.encode()
