"""The length of answer that a request asks for."""

from __future__ import annotations

import re
from typing import Final

from weebill.auto.kinds import Message
from weebill.auto.listing import listed

# Tokens of one, by what is counted.
_TOKENS: Final = {
    noun: tokens
    for tokens, nouns in (
        (
            1.4,
            "word words mot mots palabra palabras palavra palavras parola parole wort wörter wörtern слов слова слово",
        ),
        (28.0, "sentence sentences satz sätze sätzen phrase phrases frase frases frasi oración oraciones предложение "),
        (28.0, "предложения предложений предложении предложениях"),
        (15.0, "line lines zeile zeilen ligne lignes línea líneas linha linhas riga righe"),
        (110.0, "paragraph paragraphs absatz absätze absätzen paragraphe paragraphes párrafo párrafos parágrafo "),
        (110.0, "parágrafos paragrafo paragrafi абзац абзаца абзацев абзаце"),
        (600.0, "page pages"),
    )
    for noun in nouns.split()
}
_NOUNS: Final = frozenset(_TOKENS)
_COUNTS: Final = {
    word: count
    for count, words in (
        (1, "one single un une una um uma ein einem einer uno одно одном один"),
        (2, "two zwei deux dos dois due два двух couple"),
        (3, "three drei trois tres três tre три трех трёх"),
        (4, "four vier quatre cuatro quatro quattro"),
        (5, "five fünf cinq cinco cinque пять"),
        (10, "ten zehn dix diez dez dieci"),
    )
    for word in words.split()
}
# Beside the count: a story has "5 pages" too.
_LIMITING: Final = frozenset(
    listed(
        """in under than most about exactly around maximum max within least to into roughly approximately only
        limit write using up a an single answer between über unter höchstens etwa maximal mit en dans moins
        environ menos máximo hasta unas em até cerca con massimo circa в до не более"""
    )
)
_BEFORE: Final = 4
_MAX_COUNT: Final = 100_000
_IN_SIGNS: Final = re.compile(r"(\d{1,5})\s?(?:个|個)?(字|文|句|자|단어|문장)")
_SIGN_TOKENS: Final = {"字": 1.0, "文": 20.0, "句": 20.0, "자": 0.8, "단어": 3.0, "문장": 25.0}


def answer_length(max_tokens: int | None, message: Message) -> int:
    """Returns about how many tokens are asked for: by the limit, or in words where they are fewer; 0 if nothing is."""
    return min(filter(None, (_in_words(message), max_tokens)), default=0)


def _in_words(message: Message) -> int:
    words = message.words
    for at, noun in enumerate(words) if not _NOUNS.isdisjoint(message.said) else ():
        if noun not in _TOKENS:
            continue
        counted = next((_count(word) for word in reversed(words[max(0, at - 2) : at]) if _count(word)), 0)
        if counted and not _LIMITING.isdisjoint(words[max(0, at - 2 - _BEFORE) : at]):
            return max(1, round(counted * _TOKENS[noun]))
    if any(sign in message.lower for sign in _SIGN_TOKENS) and (found := _IN_SIGNS.search(message.lower)) is not None:
        return max(1, round(int(found[1]) * _SIGN_TOKENS[found[2]]))
    return 0


def _count(word: str) -> int:
    if word.isdecimal():
        return min(int(word[:6]), _MAX_COUNT)
    return _COUNTS.get(word, 0)
