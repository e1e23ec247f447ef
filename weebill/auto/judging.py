"""The comparison of the small tier's answer with the large tier's, which is the yardstick. Pure.

What can be compared exactly is: calls of tools, JSON, the letter of an option, the last number, a few words. A score
is 1 where the small tier's answer is as good, 0 where it is not, and None where that cannot be told.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from weebill.auto.cascade.refusal import check_refusal
from weebill.auto.cascade.verdicts import text_of
from weebill.auto.learning import Content
from weebill.auto.short_answers import compare, same_json
from weebill.auto.traits import subject
from weebill.wire.conversation import Conversation, Text, ToolUse
from weebill.wire.reply import Choice, Reply

_MOST_KEPT: Final = 20_000


class Verdict(NamedTuple):
    """The score of the small tier's answer, and the way it was found."""

    score: float | None
    by: str

    @property
    def is_open(self) -> bool:
        """True if there are two answers, and no rule can tell which is better."""
        return self.score is None and self.by not in (UNREAD.by, _NO_YARDSTICK)


UNREAD: Final = Verdict(None, "not read")
"""The verdict where it is not known what the client got."""
_NO_YARDSTICK: Final = "no yardstick"


def judge(asked: Conversation, small: Reply | None, large: Reply | None) -> Verdict:
    """Returns the verdict on the answers to one request; None stands for an answer that did not come."""
    if large is None or not large.choices or not check_refusal(large).passed:
        # There is nothing to compare with, but two that decline do the same.
        both = large is not None and small is not None and bool(small.choices) and not check_refusal(small).passed
        return Verdict(1.0 if both else None, "refusal" if both else _NO_YARDSTICK)
    if small is None or not small.choices:
        return Verdict(0.0, "unavailable")
    if not check_refusal(small).passed:
        return Verdict(0.0, "refusal")
    one, other = small.choices[0], large.choices[0]
    if one.finish == "length" and other.finish != "length":
        return Verdict(0.0, "length")
    if _calls(one) or _calls(other):
        return Verdict(float(_same_calls(one, other)), "calls")
    found = compare(_question(asked), text_of(one), text_of(other), structured=asked.output is not None)
    return Verdict(found.score, found.by)


def content(asked: Conversation, small: Reply | None, large: Reply | None) -> Content:
    """Returns the texts of an audit, to be kept."""
    return Content(subject(asked), _text(small), _text(large))


def _text(reply: Reply | None) -> str:
    return "" if reply is None else "\n".join(map(text_of, reply.choices))[:_MOST_KEPT]


def _question(asked: Conversation) -> str:
    """Returns the texts of the last user turn."""
    for turn in reversed(asked.turns):
        if turn.role == "user":
            return "\n".join(part.text for part in turn.parts if isinstance(part, Text))
    return ""


def _calls(choice: Choice) -> list[ToolUse]:
    return [part for part in choice.parts if isinstance(part, ToolUse)]


def _same_calls(one: Choice, other: Choice) -> bool:
    """True if both call the same tools, in any order, with arguments that are the same."""
    rest = _calls(other)
    for call in _calls(one):
        match = next(
            (each for each in rest if each.name == call.name and same_json(call.arguments, each.arguments)), None
        )
        if match is None:
            return False
        rest.remove(match)
    return not rest
