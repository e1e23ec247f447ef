"""A check that the model does not decline to answer, and says anything at all."""

from __future__ import annotations

import re
from typing import Final

from weebill.auto.cascade.verdicts import Verdict, text_of
from weebill.wire.conversation import Reasoning, Refusal, Text
from weebill.wire.reply import Choice, Reply

# Characters of an answer that are examined: a model declines at once.
HEAD_CHARS: Final = 200
_WORDS: Final = (Text, Reasoning)
_APOSTROPHES: Final = str.maketrans({"’": "'", "ʼ": "'", "`": "'"})
_SORRY: Final = r"(?:(?:i'm|i am|we're) (?:very |so |really )?sorry|sorry|apologies|i apologi[sz]e|unfortunately)"
# The beginnings of answers that decline, by language.
_PHRASES: Final = (
    # English
    rf"(?:{_SORRY}\b[,.:;!]?\s+(?:but\s+|however,?\s+)?)?(?:as an? (?:ai|language|large language)\b[^.]{{0,60}}?,?\s+)?"
    r"(?:i|we) (?:can't|cannot|can not|could not|couldn't|won't|will not|must decline|have to decline|"
    r"(?:am|'m|are|was) (?:unable|not able|not allowed|not permitted|not programmed|not equipped) to|"
    r"don't have (?:enough|sufficient|access|any information|the ability|the information|information|real-time)|"
    r"do not have (?:enough|sufficient|access|any information|the ability|the information|information|real-time)|"
    r"don't know\b|do not know\b|am not sure (?:what|how|i)\b)",
    rf"(?:{_SORRY}\b[,.:;!]?\s+(?:but\s+)?)?i'm (?:unable|not (?:able|allowed|permitted|programmed|sure))\b",
    r"as an? (?:ai|artificial intelligence|language model|large language model)\b[^.]{0,80}"
    r"(?:cannot|can't|don't|do not|unable|not able)\b",
    # As the default compact model does, for want of anything better.
    rf"{_SORRY} for (?:any|the) [^,.]{{1,60}},? but as an? (?:ai|assistant|chatbot|virtual assistant|language model)\b"
    r"[^.]{0,150}\b(?:cannot|can't|don't have|do not have|am unable|am not able|am not capable)\b",
    r"this (?:request|question|topic) (?:goes against|violates|is not something i)",
    # German, French, Spanish, Portuguese, Italian, Dutch
    r"(?:(?:es )?tut mir leid|entschuldigung|leider)\b[^.]{0,40}\b(?:kann|darf|weiß|habe)\b[^.]{0,40}\b(?:nicht|kein)",
    r"(?:ich kann|ich darf) (?:dir |ihnen |das |dabei |diese[nrs]? )*[^.]{0,30}\bnicht\b",
    r"(?:(?:je suis )?désolé[e]?|malheureusement|je regrette)\b[^.]{0,40}\b(?:ne (?:peux|puis|suis)|n'ai|ne sais)",
    r"je ne (?:peux|puis) pas\b",
    r"(?:lo siento|lamentablemente|desafortunadamente)\b[^.]{0,40}\bno (?:puedo|tengo|sé)",
    r"no puedo (?:ayudar|proporcionar|responder|cumplir|hacer)",
    r"(?:desculpe|sinto muito|lamento|infelizmente)\b[^.]{0,40}\bnão (?:posso|tenho|sei|consigo)",
    r"(?:mi dispiace|purtroppo)\b[^.]{0,40}\bnon (?:posso|ho|so)\b",
    r"(?:het spijt me|sorry|helaas)\b[^.]{0,40}\b(?:kan ik|ik kan|weet ik)\b[^.]{0,30}\bniet",
    # Chinese, Japanese
    r"(?:抱歉|对不起|很遗憾|很抱歉)[^。]{0,30}(?:无法|不能|没有)",
    r"(?:申し訳|すみません|ごめん)[^。]{0,30}(?:できません|できかね|わかりません)",
)
_DECLINES: Final = re.compile(r"[\s\"'*#>]*(?:" + "|".join(_PHRASES) + ")", re.IGNORECASE)


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
    declined = _DECLINES.match(text[:HEAD_CHARS].translate(_APOSTROPHES))
    return f"it begins with '{declined.group().strip()}'" if declined else ""
