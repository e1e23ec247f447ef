"""The language of a text: from its script, and where several languages share that, from letters and frequent words."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from struct import Struct
from typing import Final

from weebill.auto.frequent_words import BULGARIAN, BY_LANGUAGE, KEYWORDS
from weebill.auto.kinds import words_of

# Of a longer text, these are examined, evenly spread.
MAX_SAMPLE: Final = 128
# First and last code point of scripts; Latin is all else that is a letter.
_RANGES: Final = (
    (0x0370, 0x03FF, "Greek"),
    (0x0400, 0x052F, "Cyrillic"),
    (0x0530, 0x058F, "Armenian"),
    (0x0590, 0x05FF, "Hebrew"),
    (0x0600, 0x077F, "Arabic"),
    (0x0900, 0x097F, "Devanagari"),
    (0x0980, 0x09FF, "Bengali"),
    (0x0A00, 0x0A7F, "Gurmukhi"),
    (0x0A80, 0x0AFF, "Gujarati"),
    (0x0B80, 0x0BFF, "Tamil"),
    (0x0C00, 0x0C7F, "Telugu"),
    (0x0C80, 0x0CFF, "Kannada"),
    (0x0D00, 0x0D7F, "Malayalam"),
    (0x0E00, 0x0E7F, "Thai"),
    (0x10A0, 0x10FF, "Georgian"),
    (0x1100, 0x11FF, "Hangul"),
    (0x3040, 0x30FF, "Kana"),
    (0x3130, 0x318F, "Hangul"),
    (0x3400, 0x9FFF, "Han"),
    (0xAC00, 0xD7FF, "Hangul"),
    (0xFB50, 0xFDFF, "Arabic"),
    (0xFE70, 0xFEFF, "Arabic"),
)
_BLOCK_BITS: Final = 4
_BLOCKS: Final = {
    block: script for first, last, script in _RANGES for block in range(first >> _BLOCK_BITS, (last >> _BLOCK_BITS) + 1)
}
LATIN: Final = "Latin"
# A sign of these says as much as two or three letters of an alphabet.
_DENSE: Final = {"Han": 3.0, "Kana": 2.0, "Hangul": 2.0}
_ONE_LANGUAGE: Final = {
    "Greek": "el",
    "Armenian": "hy",
    "Hebrew": "he",
    "Devanagari": "hi",
    "Bengali": "bn",
    "Gurmukhi": "pa",
    "Gujarati": "gu",
    "Tamil": "ta",
    "Telugu": "te",
    "Kannada": "kn",
    "Malayalam": "ml",
    "Thai": "th",
    "Georgian": "ka",
    "Hangul": "ko",
    "Kana": "ja",
    "Han": "zh",
}
# Japanese with few words of its own: kana among ideographs.
_MIN_KANA: Final = 0.08
# Letters and signs that one language alone has, in order; "" stands for languages that are not told apart here.
_ARABIC_LETTERS: Final = (("ur", "ٹڈڑںےہھ"), ("fa", "پچژگکی"))
_CYRILLIC_LETTERS: Final = (("", "љњћђџѓќѕјәғқңөұүһў"), ("uk", "іїєґ"), ("ru", "ыэё"))
_MARATHI: Final = ("ळ", "आहे", "च्या", "ण्या", "मध्ये", "आणि", "झाल", "नाही ", "साठी")
_LATIN_LETTERS: Final = (
    ("es", "ñ¿¡"),
    ("pt", "ãõ"),
    ("de", "ß"),
    ("tr", "ğış"),
    ("pl", "łęąśżźń"),
    ("vi", "ơưđạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"),
    ("ro", "șțăî"),
    ("cs", "řěů"),
    ("hu", "őű"),
    ("da", "ø"),
    ("fr", "œ"),
)
# Whole numbers, so that the order in which they are added makes no difference.
_WORD_WEIGHT: Final = 60
_LETTER_WEIGHT: Final = 90
_LETTERS_OF: Final = {letter: language for language, letters in _LATIN_LETTERS for letter in letters}
_LEAST: Final = 18
# The share of signs from which on a text is taken for a program.
_MANY_SIGNS: Final = 0.06
_SIGNS: Final = "(){}[]=<>;_"
_FENCED: Final = re.compile(r"```[^`]*(?:```|$)")


def _weights() -> dict[str, list[tuple[str, int]]]:
    """Returns the languages that have a word among their frequent ones; the fewer they are, the more it says."""
    having: defaultdict[str, list[str]] = defaultdict(list)
    for language, listed in BY_LANGUAGE.items():
        for word in dict.fromkeys(listed.split()):
            having[word].append(language)
    return {word: [(each, _WORD_WEIGHT // len(found)) for each in found] for word, found in having.items()}


_WEIGHTS: Final = _weights()
_FREQUENT: Final = frozenset(_WEIGHTS)
# The weights of a word for all languages as one number, of 32 bits for each, so that those of many words are added at
# once.
_CODES: Final = tuple(BY_LANGUAGE)
_PLACES: Final = {code: 1 << 32 * place for place, code in enumerate(_CODES)}
_PACKED: Final = {word: sum(weight * _PLACES[code] for code, weight in found) for word, found in _WEIGHTS.items()}
_SCORES: Final = Struct(f"<{len(_CODES)}I")


def language(text: str, words: frozenset[str]) -> str:
    """Returns the ISO 639-1 code of a text's language, "" if it is not known.

    `words` are the text's words in lower case. Of several languages, it is the one that most is
    written in. Programs are of none.
    """
    seen = text
    if "```" in text:
        seen = _FENCED.sub(" ", text)
        words = frozenset(words_of(seen.lower()))
    if seen.isascii():
        return _of_latin(seen, words)
    weights = scripts(seen)
    if not weights:
        return ""
    script = max(sorted(weights), key=weights.__getitem__)
    if script == "Han" and weights.get("Kana", 0.0) >= _MIN_KANA * weights[script]:
        return "ja"
    match script:
        case "Latin":
            return _of_latin(seen, words)
        case "Cyrillic":
            return _of_cyrillic(seen, words)
        case "Arabic":
            return _by_letters(seen, _ARABIC_LETTERS, "ar")
        case "Devanagari":
            return _by_letters(seen, (("mr", _MARATHI),), "hi")
        case _:
            return _ONE_LANGUAGE[script]


def _scripts(sample: str) -> dict[str, float]:
    """Returns the weight of each script."""
    found: defaultdict[str, float] = defaultdict(float)
    for sign, count in Counter(sample).items():
        script = _BLOCKS.get(ord(sign) >> _BLOCK_BITS)
        if script is not None:
            found[script] += count * _DENSE.get(script, 1.0)
        elif sign.isalpha():
            found[LATIN] += count
    return found


def _by_letters(text: str, letters: Sequence[tuple[str, Sequence[str]]], otherwise: str) -> str:
    for code, marks in letters:
        if any(mark in text for mark in marks):
            return code
    return otherwise


def _of_cyrillic(text: str, words: frozenset[str]) -> str:
    found = _by_letters(text.lower(), _CYRILLIC_LETTERS, "?")
    if found == "?":
        return "" if len(BULGARIAN.intersection(words)) > 1 else "ru"
    return found


def _of_latin(text: str, words: frozenset[str]) -> str:
    scores = _weights_of(text, words)
    most = max(scores)
    return _CODES[scores.index(most)] if most > _LEAST else ""


def latin_scores(text: str, words: frozenset[str]) -> dict[str, int]:
    """Returns the weight of the signs of each language in a text of Latin letters, as far as there are any."""
    return {code: weight for code, weight in zip(_CODES, _weights_of(text, words), strict=False) if weight}


def _weights_of(text: str, words: frozenset[str]) -> tuple[int, ...]:
    """Returns the weight of each of `_CODES`."""
    known = _FREQUENT & words
    if known and ("(" in text or ";" in text) and sum(map(text.count, _SIGNS)) > _MANY_SIGNS * len(text):
        known = frozenset(word for word in known - KEYWORDS if len(word) > 1)
    weights = sum(map(_PACKED.__getitem__, known))
    if not text.isascii():
        weights += sum(_LETTER_WEIGHT * _PLACES[_LETTERS_OF[letter]] for letter in _LETTERS_OF.keys() & text)
    return _SCORES.unpack(weights.to_bytes(_SCORES.size, "little"))


def scripts(text: str) -> dict[str, float]:
    """Returns the weight of each script in a text, by a sample if it is long."""
    return _scripts(text[:: max(1, len(text) // MAX_SAMPLE)][: 2 * MAX_SAMPLE])
