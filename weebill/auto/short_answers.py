"""The comparison of two texts that answer one question, where it can be exact. Pure, and bounded in time."""

from __future__ import annotations

import re
import unicodedata
from typing import Final, NamedTuple

import msgspec

# Longer texts are compared by their ends, where the answer is.
_MOST_CHARS: Final = 20_000
_TAIL_CHARS: Final = 400
_FENCE: Final = re.compile(r"```[a-zA-Z]{0,12}\s*\n(.*?)```", re.DOTALL)
_WORD: Final = re.compile(r"\w+")
_NUMBER: Final = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_ARTICLES: Final = frozenset({"a", "an", "the"})
_SHORT_WORDS: Final = 6
# An option of a question: a letter or number at the start of a line, or in parentheses.
_OPTION: Final = re.compile(r"(?:^|\n)\s*\(?([A-J])[).:]\s|\(([A-J])\)")
# The places of the chosen option in an answer, the surest first.
_CHOSEN: Final = (
    re.compile(r"\\boxed\{\s*(?:\\text\{)?\(?([A-J])\b"),
    re.compile(r"(?i:answer|choice|option)(?i:\s+(?:is|would be))?\s*:?\s*\**\s*\(?([A-J])\b(?!\s+[a-z])"),
    re.compile(r"\A\W*([A-J])(?:\W|\Z)(?![a-z]*'\w)"),
    re.compile(r"[(\s*]([A-J])[).*\s]*\Z"),
)
_FINAL: Final = (
    re.compile(r"\\boxed\{([^{}]{1,80})\}"),
    re.compile(r"####\s*([^\n]{1,80})"),
    re.compile(r"(?i)\banswer\b(?: is|:|\s=)?\s*:?\s*([^\n]{1,80})"),
)
_NUMERIC: Final = re.compile(
    r"(?i)how (?:many|much|long|far|old|tall|fast)|what (?:is|are) the (?:total|sum|product|value|number|average|area|"
    r"probability|ratio|percent)|calculate|compute|evaluate|solve|\d\s*[-+*/=^]\s*\d"
)


class Found(NamedTuple):
    """The score of the first text against the second, None if it cannot be told, and the way it was found."""

    score: float | None
    by: str


def compare(question: str, small: str, large: str, *, structured: bool = False) -> Found:
    """Returns the score of `small` against the yardstick `large`; `structured` says that JSON was asked for."""
    small, large = small[-_MOST_CHARS:].strip(), large[-_MOST_CHARS:].strip()
    if small == large:
        return Found(1.0, "same")
    if structured or _is_json(large):
        return Found(float(same_json(small, large)), "json")
    if len(set(filter(None, (letter for pair in _OPTION.findall(question[:_MOST_CHARS]) for letter in pair)))) >= 2:
        ours, theirs = _option(small), _option(large)
        if theirs is not None:
            return Found(float(ours == theirs), "option")
    if len(_words(large)) <= _SHORT_WORDS:
        return Found(float(_says(small, large)), "short")
    if _NUMERIC.search(question[:_MOST_CHARS]):
        number, yardstick = _last_number(small), _last_number(large)
        if yardstick is not None:
            return Found(float(number is not None and _close(number, yardstick)), "number")
    return Found(None, "not known")


def same_json(one: str, other: str) -> bool:
    """True if both are the same JSON value, a fence around it aside; numbers may differ in their last digits, strings
    in case and punctuation.
    """
    try:
        return _same(_decoded(one), _decoded(other))
    except (msgspec.DecodeError, RecursionError):
        return False


def _decoded(text: str) -> object:
    fenced = _FENCE.search(text)
    return msgspec.json.decode(fenced.group(1) if fenced else text)


def _same(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return _close(one, other)
    if isinstance(one, str) and isinstance(other, str):
        return one == other or (_words(one) == _words(other) != [])
    return one == other


def _is_json(text: str) -> bool:
    if text[:1] not in "{[`":
        return False
    try:
        return isinstance(_decoded(text), dict | list)
    except (msgspec.DecodeError, RecursionError):
        return False


def _option(text: str) -> str | None:
    """Returns the letter of the option that an answer chooses; of several, the last."""
    for place in _CHOSEN:
        found = place.findall(text)
        if found:
            return str(found[-1])
    return None


def _says(text: str, short: str) -> bool:
    """True if a text gives the same short answer: the same words, or these among few others or at its end."""
    words, wanted = _words(text), _words(short)
    number = _last_number(short)
    if number is not None and len(wanted) <= 3:
        found = _last_number(text)
        return found is not None and _close(found, number)
    if not wanted:
        return not words
    if len(words) <= _SHORT_WORDS:
        return words == wanted
    tail = f" {' '.join(_words(text[-_TAIL_CHARS:]))} "
    return f" {' '.join(wanted)} " in tail


def _words(text: str) -> list[str]:
    """Returns the words of a text, without case, accents' forms, punctuation and articles."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [word for word in _WORD.findall(folded) if word not in _ARTICLES]


def _last_number(text: str) -> float | None:
    """Returns the number that a text ends with, or that it names as its answer."""
    for place in _FINAL:
        found = place.findall(text)
        if found and (numbers := _NUMBER.findall(found[-1])):
            return _value(numbers[-1] if place is _FINAL[0] else numbers[0])
    numbers = _NUMBER.findall(text)
    return _value(numbers[-1]) if numbers else None


def _value(number: str) -> float:
    return float(number.replace(",", ""))


def _close(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-4 * max(abs(one), abs(other)) + 1e-9
