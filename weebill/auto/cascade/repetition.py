"""A check that an answer does not loop, as those of small models do when they lose the thread."""

from __future__ import annotations

import zlib
from typing import Final

from weebill.auto.cascade.verdicts import Verdict, text_of
from weebill.wire.reply import Reply

# The repetition at the end of an answer: the longest unit in characters, the number of times, and the least length.
_MAX_UNIT: Final = 400
_TIMES: Final = 4
_MIN_LOOP: Final = 120
# Prose of any language compresses to a half or a third, tables and code to a fifth, loops to a tenth or less.
_MIN_COMPRESSED: Final = 600
_MAX_RATIO: Final = 9.0


def check_repetition(reply: Reply) -> Verdict:
    """Checks a whole answer."""
    problem = next(filter(None, (_problem(text_of(choice)) for choice in reply.choices)), "")
    return Verdict("repetition", not problem, problem)


def _problem(text: str) -> str:
    text = text.rstrip()
    if unit := _loop(text):
        shown = unit.strip()
        return f"it ends in a loop of '{shown[:40]}{'…' if len(shown) > 40 else ''}'"
    data = text.encode()
    if len(data) >= _MIN_COMPRESSED and (ratio := len(data) / len(zlib.compress(data, 6))) > _MAX_RATIO:
        return f"it says the same again and again: it compresses {ratio:.0f} to 1"
    return ""


def _loop(text: str) -> str:
    """Returns the unit that the end of `text` repeats; "" if there is none. Rules of dashes and the like do
    not count.
    """
    for length in range(1, min(_MAX_UNIT, len(text) // _TIMES) + 1):
        span = max(_MIN_LOOP, _TIMES * length)
        if span > len(text):
            break
        # A text with a period equals itself shifted by it.
        if text[-span:-length] == text[-span + length :]:
            unit = text[-length:]
            if any(character.isalnum() for character in unit):
                return unit
    return ""
