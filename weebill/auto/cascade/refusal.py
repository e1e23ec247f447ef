"""A check that the model does not decline to answer, and says anything at all."""

from __future__ import annotations

import re
from typing import Final

from weebill.auto.cascade.refusal_phrases import GOES_ON, OPENING, PHRASES
from weebill.auto.cascade.verdicts import Verdict, text_of
from weebill.wire.conversation import Reasoning, Refusal, Text
from weebill.wire.reply import Choice, Reply

# Characters of an answer that are examined: a model declines at once.
HEAD_CHARS: Final = 200
_WORDS: Final = (Text, Reasoning)
_APOSTROPHES: Final = str.maketrans({"’": "'", "ʼ": "'", "`": "'"})
_DECLINES: Final = re.compile(f"{OPENING}(?:{'|'.join(PHRASES)})", re.IGNORECASE)
_GOES_ON: Final = re.compile(GOES_ON, re.IGNORECASE)


def check_refusal(reply: Reply) -> Verdict:
    """Checks a whole answer, or one of which at least `HEAD_CHARS` characters have come."""
    for choice in reply.choices:
        if problem := _problem(choice):
            return Verdict("refusal", False, problem)
    return Verdict("refusal", bool(reply.choices), "" if reply.choices else "there is no answer")


def has_begun(reply: Reply) -> bool:
    """True if enough of an answer has come for `check_refusal` to tell."""
    return bool(reply.choices) and all(_telling(choice) for choice in reply.choices)


def _telling(choice: Choice) -> bool:
    return any(not isinstance(part, _WORDS) for part in choice.parts) or len(text_of(choice)) >= HEAD_CHARS


def _problem(choice: Choice) -> str:
    if choice.finish in ("refusal", "content_filter") or any(isinstance(part, Refusal) for part in choice.parts):
        return "the model declines"
    text = text_of(choice)
    if not text.strip() and all(isinstance(part, _WORDS) for part in choice.parts):
        return "the answer is empty"
    declined = declines(text)
    return f"it begins with '{declined}'" if declined else ""


def declines(text: str) -> str:
    """Returns the beginning of a text by which it declines, "" if it does not, or answers all the same."""
    head = text[:HEAD_CHARS].translate(_APOSTROPHES)
    found = _DECLINES.match(head)
    return found.group().strip() if found is not None and _GOES_ON.search(head) is None else ""
