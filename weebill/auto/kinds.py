"""The kind of a request's task, from its text: cues are weighed, and the heaviest kind is it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, Literal, NamedTuple, get_args

from weebill.auto.cues import NUMBER_WORDS, OPENINGS, PHRASES, WORDS
from weebill.auto.listing import listed

Kind = Literal[
    "tools",
    "json",
    "media",
    "options",
    "code",
    "maths",
    "translation",
    "summary",
    "extraction",
    "classification",
    "rewriting",
    "writing",
    "reasoning",
    "explanation",
    "fact",
    "chat",
    "other",
]
"""The first three are forms of a request, and not told from its text; of equal weights, the earlier kind counts."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
_RANK: Final = {kind: rank for rank, kind in enumerate(KINDS)}
# Of a longer text, these of its beginning and of its end are examined: the task is named at either.
MAX_HEAD: Final = 1_600
MAX_TAIL: Final = 800

WORD: Final = re.compile(r"\w+")
# Signs of ASCII that no word has become spaces.
_SPACED: Final = bytes(byte if chr(byte).isalnum() or byte == ord("_") else ord(" ") for byte in range(128)).ljust(256)
_LETTERED: Final = re.compile(r"(?:^|[\n(\s])([A-E])[.):．、：]\s*[^\s]")
_LISTED: Final = "\noptions:"
_MAKING: Final = frozenset(
    listed("""write implement create develop design build given make schreibe schreib escribe écris escreva scrivi""")
)
_WORDS_BETWEEN: Final = 9
_CODED: Final = frozenset(
    listed(
        """function program script code class query algorithm website app método programm funktion función fonction"""
    )
)
_STARTS_OF_CODE: Final = ("def ", "class ", "import ", "from ", "assert ", "public ")
_OPTION_MARKS: Final = ("A.", "A)", "A:", "A．", "A、", "A：")
# Scripts without spaces have numbers within words.
_NUMBER: Final = re.compile(r"\d+")
_FORMULA_SIGNS: Final = "+*=^×÷"
_SUM: Final = re.compile(r"\d ?[-/] ?\d")
_POLITE: Final = frozenset(
    listed(
        """please can could would you kindly i want need to help me for the a an your task is por favor puedes
        bitte kannst du könnten sie s'il vous plaît peux tu pouvez pode você puoi per now so ok then given
        question let's like"""
    )
)
_SIGNS_OF_CODE: Final = "{}[]();=<>_"


class Weighing(NamedTuple):
    """The kind, and by how much its cues weigh: below 2, it is little more than a guess."""

    kind: Kind
    weight: float


def _parsed(cues: Mapping[str, str], separator: str | None, each: float) -> dict[str, list[tuple[Kind, float]]]:
    found: dict[str, list[tuple[Kind, float]]] = {}
    for kind in KINDS:
        for cue in cues.get(kind, "").split(separator):
            if cue:
                found.setdefault(cue, []).append((kind, each))
    return found


class _Phrase(NamedTuple):
    """A phrase, what it is a cue for, and the words that a text has if it has the phrase."""

    text: str
    words: frozenset[str]
    found: list[tuple[Kind, float]]


_Phrases = dict[str, list[_Phrase]]


def _indexed(cues: Mapping[str, list[tuple[Kind, float]]]) -> tuple[_Phrases, _Phrases]:
    """Returns phrases by their first word, and by their first sign where they do not begin with a word of ASCII."""
    by_word: _Phrases = {}
    by_sign: _Phrases = {}
    for phrase, found in cues.items():
        words = WORD.findall(phrase)
        if phrase.isascii() and phrase.startswith(tuple(words[:1])):
            # The last one may be the beginning of a word.
            by_word.setdefault(words[0], []).append(_Phrase(phrase, frozenset(words[1:-1]), found))
        else:
            by_sign.setdefault(phrase[0], []).append(_Phrase(phrase, frozenset(), found))
    return by_word, by_sign


_OPENING_WEIGHT, _WORD_WEIGHT, _PHRASE_WEIGHT = 2.5, 1.0, 1.0
_OPENINGS: Final = _parsed(OPENINGS, None, _OPENING_WEIGHT)
_WORDS: Final = _parsed(WORDS, None, _WORD_WEIGHT)
_LISTED_WORDS: Final = frozenset(_WORDS)  # sets are met faster than the keys of a mapping
_BY_WORD, _BY_SIGN = _indexed(_parsed(PHRASES, "|", _PHRASE_WEIGHT))
_FIRST_WORDS: Final = frozenset(_BY_WORD)
_FIRST_SIGNS: Final = frozenset(_BY_SIGN)
_SIGNS_OF_ASCII: Final = tuple(
    sign for sign, phrases in _BY_SIGN.items() if any(each.text.isascii() for each in phrases)
)
# Weak kinds: what most texts have some sign of.
_SCALE: Final[Mapping[str, float]] = {"fact": 0.6, "explanation": 0.8, "extraction": 0.8, "reasoning": 0.9}
_CHAT_WORDS: Final = 8
_QUESTION_WORDS: Final = 120
_MANY_NUMBERS: Final = 3
_IS_CODE_WEIGHT: Final = 4.0
# The numbers in a text that is to be worked on are not to be added up.
_OF_TEXTS: Final[frozenset[Kind]] = frozenset({"translation", "summary", "extraction", "classification", "rewriting"})
_MOST: Final = 3.0


class Message(NamedTuple):
    """An examined text, in lower case too, its `WORD`s in lower case, and those that are different."""

    text: str
    lower: str
    words: list[str]
    said: frozenset[str]


def read(text: str) -> Message:
    """Returns what is examined of a text."""
    seen = text if len(text) <= MAX_HEAD + MAX_TAIL else f"{text[:MAX_HEAD]}\n{text[-MAX_TAIL:]}"
    lower = seen.lower()
    words = words_of(lower)
    return Message(seen, lower, words, frozenset(words))


def words_of(lower: str) -> list[str]:
    """Returns the `WORD`s of a text; those of ASCII are found in a fifth of the expression's time."""
    return lower.encode().translate(_SPACED).decode().split() if lower.isascii() else WORD.findall(lower)


def weigh(message: Message) -> Weighing:
    """Returns the kind of a message."""
    text, lower, words, said = message
    if _has_options(text, lower):
        return Weighing("options", 9.0)
    weights: dict[Kind, float] = {}
    for word in words[:8]:
        if word not in _POLITE or word in _OPENINGS:
            _add(weights, _OPENINGS.get(word, ()))
            break
    heavy: dict[Kind, float] = {}
    for word in _LISTED_WORDS & said:
        _add(heavy, _WORDS[word])
    for first in _FIRST_WORDS & said:
        _add_phrases(heavy, lower, said, _BY_WORD[first])
    for first in _present(_SIGNS_OF_ASCII, lower) if text.isascii() else _FIRST_SIGNS.intersection(lower):
        _add_phrases(heavy, lower, said, _BY_SIGN[first])
    for kind, weight in heavy.items():
        weights[kind] = weights.get(kind, 0.0) + min(weight, _MOST)
    _weigh_structure(text, lower, words, said, weights)
    for kind in weights.keys() & _SCALE:
        weights[kind] *= _SCALE[kind]
    if not weights:
        return Weighing("other", 0.0)
    best = max(weights, key=lambda kind: (weights[kind], -_RANK[kind]))
    return Weighing(best, weights[best]) if weights[best] > 0 else Weighing("other", 0.0)


def _add_phrases(weights: dict[Kind, float], lower: str, said: frozenset[str], phrases: list[_Phrase]) -> None:
    for phrase, words, found in phrases:
        if words <= said and phrase in lower:
            _add(weights, found)


def _present(signs: Iterable[str], text: str) -> list[str]:
    return [sign for sign in signs if sign in text]


def _add(weights: dict[Kind, float], found: list[tuple[Kind, float]] | tuple[()]) -> None:
    for kind, weight in found:
        weights[kind] = weights.get(kind, 0.0) + weight


def _has_options(text: str, lower: str) -> bool:
    if _LISTED in lower:
        return True
    if "A" not in text or "B" not in text or not any(mark in text for mark in _OPTION_MARKS):
        return False
    return {"A", "B"} <= set(_LETTERED.findall(text))


def _weigh_structure(text: str, lower: str, words: list[str], said: frozenset[str], weights: dict[Kind, float]) -> None:
    """Adds the weights of numbers, formulas, code, questions and length."""
    if _is_code(text) or _asks_for_code(words, said):
        weights["code"] = weights.get("code", 0.0) + _IS_CODE_WEIGHT
    maths = weights.get("maths", 0.0)
    if text.isascii():
        numbers = sum(map(str.isdecimal, words)) if _present("1234567890", text) else 0
    else:
        numbers = len(_NUMBER.findall(text))
    numbers += len(NUMBER_WORDS & said)
    formulas = sum(map(text.count, _present(_FORMULA_SIGNS, text))) - 2 * text.count("**")
    if not formulas and numbers > 1 and ("-" in text or "/" in text) and _SUM.search(text):
        formulas = 1
    if formulas > 0 and len(words) < 12 * formulas + 30:
        maths += 1.0
    if "$" in text and "\\" in text:
        maths += 3.0
    # A story with numbers and "how many" is a sum, in any language; without numbers, it asks for a fact.
    if any(weights.get(kind, 0.0) >= _OPENING_WEIGHT for kind in _OF_TEXTS):
        maths /= 2
    elif numbers >= _MANY_NUMBERS or (maths and numbers):
        maths += min(numbers, 5) * 0.75
    elif maths and formulas <= 0:
        maths -= 1.5
        weights["fact"] = weights.get("fact", 0.0) + 3.0
    weights["maths"] = maths
    if len(words) <= _QUESTION_WORDS and ("?" in text or "？" in text or "؟" in text):
        weights["fact"] = weights.get("fact", 0.0) + 1.0
    if len(words) > _CHAT_WORDS:
        weights.pop("chat", None)
    elif "chat" in weights:
        weights["chat"] += 1.0


def _asks_for_code(words: list[str], said: frozenset[str]) -> bool:
    """Returns True if a program is to be written, and not a letter that names one further on."""
    if said.isdisjoint(_CODED) or said.isdisjoint(_MAKING):
        return False
    making = [at for at, word in enumerate(words) if word in _MAKING]
    return any(not _CODED.isdisjoint(words[at + 1 : at + _WORDS_BETWEEN]) for at in making)


def _is_code(text: str) -> bool:
    if "```" in text or text.startswith(_STARTS_OF_CODE):
        return True
    if "\n" in text and any(f"\n{start}" in text for start in _STARTS_OF_CODE):
        return True
    if "(" not in text and "{" not in text and "[" not in text:
        return False
    signs = sum(map(text.count, _SIGNS_OF_CODE))
    return signs > 20 and signs > 0.08 * len(text)
