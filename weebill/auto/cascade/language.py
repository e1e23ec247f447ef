"""A check that an answer is in the language of the request.

A verdict needs two texts whose languages are beyond doubt, and a request that leaves no room for another one: whatever
names a language, is in several, or asks for a translation gives no verdict. So does an answer that is short, code, JSON
or a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from weebill.auto.cascade.language_names import names_a_language
from weebill.auto.cascade.verdicts import Verdict, text_of
from weebill.auto.kinds import WORD, Kind, read, weigh
from weebill.auto.languages import LATIN, language, latin_scores, scripts
from weebill.wire.conversation import Conversation, Text, ToolUse, Turn
from weebill.wire.reply import Choice, Reply

# Of a longer text, its beginning is examined; of a request, its end as well, as either may be what is asked.
_HEAD: Final = 600
_TAIL: Final = 400
_NAMED: Final = 2_000
_TURNS: Final = 6
# The least that tells: words of a script with spaces, letters of any (a sign of Chinese is three).
_MIN_WORDS: Final = 5
_MIN_LETTERS: Final = 24.0
_MIN_SCORE: Final = 150
_MAX_SECOND: Final = 0.5
_MIN_SHARE: Final = 0.75
_MIN_LATIN: Final = 0.9
# Languages that are too alike to be told apart here without doubt, each with others that have no list of words.
_ALIKE: Final = {
    code: group
    for group in map(frozenset, (("da", "sv"), ("es", "pt", "ca"), ("cs", "pl"), ("ar", "fa", "ur"), ("hi", "mr")))
    for code in group
}
# What an answer quotes, or computes, may be in any language.
_NOT_PROSE: Final = re.compile(
    r"```[^`]{0,2000}(?:```|$)|`[^`\n]{1,200}`|https?://\S{1,300}|\"[^\"\n]{1,300}\"|“[^”\n]{1,300}”|«[^»\n]{1,300}»|"
    r"„[^“”\n]{1,300}[“”]|「[^」\n]{1,300}」"
)
_SIGNS_OF_CODE: Final = "{}[]();=<>_|\\"
_MANY_SIGNS: Final = 0.04
_OF_TEXTS: Final[frozenset[Kind]] = frozenset(
    {"translation", "summary", "extraction", "classification", "rewriting", "writing", "options", "code"}
)


def check_language(asked: Conversation, reply: Reply) -> Verdict | None:
    """Checks an answer, or the beginning of one; None if it cannot be told."""
    if asked.output is not None:
        return None
    answers = [found for choice in reply.choices if (found := _of_answer(choice))]
    if not answers:
        return None
    question = next((turn for turn in reversed(asked.turns) if turn.role == "user"), None)
    if question is None:
        return None
    text = _text(question)
    wanted = sure_language(text[:_HEAD])
    if not wanted:
        return None
    other = next((found for found in answers if found != wanted and found not in _ALIKE.get(wanted, ())), "")
    if not other:
        return Verdict("language", True)
    if _leaves_room(asked, text, other):
        return None
    return Verdict("language", False, f"it is in '{other}', and the request in '{wanted}'")


def sure_language(text: str) -> str:
    """Returns the code of the language that a text is in without doubt, "" if there is any."""
    found = scripts(text)
    letters = sum(found.values())
    if letters < _MIN_LETTERS:
        return ""
    words = WORD.findall(text.lower())
    said = frozenset(words)
    code = language(text, said)
    script = max(sorted(found), key=found.__getitem__)
    share = (found[script] + found.get("Han", 0.0) * (script == "Kana")) / letters
    if script != LATIN:
        return _of_script(code, script, found) if share >= _MIN_SHARE else ""
    scores = sorted(latin_scores(text, said).values())
    sure = (
        code != ""
        and share >= _MIN_LATIN
        and len(words) >= _MIN_WORDS
        and scores[-1] >= _MIN_SCORE
        and (len(scores) == 1 or scores[-2] <= _MAX_SECOND * scores[-1])
    )
    return code if sure else ""


def _of_script(code: str, script: str, found: Mapping[str, float]) -> str:
    if script == "Cyrillic":
        return script
    if script == "Han" and code == "zh" and found.get("Kana"):
        return ""  # Japanese with few kana
    return code


def _of_answer(choice: Choice) -> str:
    """Returns the language of an answer's prose, "" if it has too little to tell."""
    if any(isinstance(part, ToolUse) for part in choice.parts):
        return ""
    text = text_of(choice)[:_HEAD].strip()
    if text.startswith(("{", "[{", "<")):
        return ""
    prose = _NOT_PROSE.sub(" ", text)
    if sum(map(prose.count, _SIGNS_OF_CODE)) > _MANY_SIGNS * len(prose):
        return ""
    return sure_language(prose)


def _leaves_room(asked: Conversation, text: str, other: str) -> bool:
    """True if an answer in `other` may be what is wanted."""
    if weigh(read(text)).kind == "translation" or names_a_language(f"{text[:_NAMED]}\n{text[-_TAIL:]}"):
        return True
    if other in (_language(text[:_TAIL]), _language(text[-_TAIL:])):
        return True
    return any(_asks_for(turn, other) for turn in _before(asked.turns))


def _before(turns: Sequence[Turn]) -> Iterator[Turn]:
    """Yields the instructions and the last turns."""
    yield from (turn for turn in turns[:_TURNS] if turn.role in ("system", "developer"))
    yield from (turn for turn in turns[-_TURNS:] if turn.role in ("user", "assistant", "system", "developer"))


def _asks_for(turn: Turn, other: str) -> bool:
    text = _text(turn)[:_NAMED]
    if turn.role != "assistant" and names_a_language(text):
        return True
    if turn.role in ("system", "developer") and weigh(read(text)).kind not in _OF_TEXTS:
        return False  # most are in English, whatever the users speak
    return _language(text[:_HEAD]) == other


def _language(text: str) -> str:
    code = language(text, frozenset(WORD.findall(text.lower())))
    return "Cyrillic" if code in ("ru", "uk") else code


def _text(turn: Turn) -> str:
    return "\n".join(part.text for part in turn.parts if isinstance(part, Text))
