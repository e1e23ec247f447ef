"""The comparison of two texts that answer one question, where it can be exact. Pure, and bounded in time."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from math import isclose
from typing import Final, NamedTuple

import msgspec

NOT_KNOWN: Final = "not known"
"""The way by which texts were compared that nothing exact can be said of."""
# Of longer texts, the end is compared, where the answer is.
_MOST_CHARS: Final = 20_000
_TAIL_CHARS: Final = 300
_FENCE: Final = re.compile(r"```[a-zA-Z]{0,12}\s*\n(.*?)```", re.DOTALL)
_WORD: Final = re.compile(r"\w+")
_NUMBER: Final = re.compile(r"[-−]?[$€£]?[-−]?\d[\d,]*(?:\.\d+)?")
_NOT_OF_A_NUMBER: Final = str.maketrans("", "", ",$€£")
_DATE: Final = re.compile(r"\d[/-]\d{1,2}[/-]\d")
_CODE: Final = re.compile(r"\w\([^)\n]{0,80}\)|[{};]\s*(?:\n|\Z)|=>|\bdef \w|\breturn\b")
_UNSAID: Final = frozenset({"a", "an", "the", "in", "on", "at", "of", "answer", "is", "it", "s"})
_SHORT_WORDS: Final = 6
_SHORT_CHARS: Final = 60
_OPTIONS: Final = re.compile(r"(?:^|\s)\(?([A-J])[).:、．：]")
# The places of the chosen option in an answer, the surest first.
_NAMES: Final = r"(?i:answer|choice|option|答案)[^\n.A-Za-z0-9]{0,6}(?i:is|are|would be|为|是)?[^\n.A-Za-z0-9]{0,6}"
_CHOSEN: Final = (
    re.compile(r"\\boxed\{\s*(?:\\text\{)?\(?([A-J])\b"),
    re.compile(rf"{_NAMES}\(([A-J])\)"),
    re.compile(rf"{_NAMES}([A-J])(?![A-Za-z'])(?!\s+[a-z])"),
    re.compile(r"\A\W*([A-J])(?:[).:,、．：\s\\<]|\Z)(?!\s?[a-z])"),
    re.compile(rf"\(([A-J])\)(?=[^()]{{0,{_TAIL_CHARS}}}\Z)"),
    re.compile(r"[\s*]([A-J])[.*\s]*\Z"),
)
_BOXED: Final = re.compile(r"\\boxed\{((?:[^{}]|\{[^{}]*\}){1,120})\}")
_FINAL: Final = (
    _BOXED,
    re.compile(r"####\s*([^\n]{1,80})"),
    # Possessive, as a long run of blanks would otherwise be tried in every division.
    re.compile(r"(?i)\banswer\b(?: is|:|\s=)?\s*+(?::\s*+)?([^\n]{1,80})"),
)
_NUMERIC: Final = re.compile(
    r"(?i)how (?:many|much|long|far|old|tall|fast)|what (?:is|are|was|were) the (?:total|sum|product|value|number|"
    r"average|area|probability|ratio|percent|change)|calculate|compute|evaluate|solve|\d\s*[-+*/=^]\s*\d"
)
_LATEX: Final = re.compile(r"\\(?:left|right|text|mathrm|,|!|;| )|\\d?frac|[\s$%°.,{}]|(?<=\d)\.0+\b")


class Found(NamedTuple):
    """The score of the first text against the second, None if it cannot be told, and the way it was found."""

    score: float | None
    by: str


def compare(question: str, small: str, large: str, *, structured: bool = False) -> Found:
    """Returns the score of `small` against the yardstick `large`; `structured` says that JSON was asked for."""
    if small.strip() == large.strip():
        return Found(1.0, "same")
    question = question[-_MOST_CHARS:]
    small, large = small[-_MOST_CHARS:].strip(), large[-_MOST_CHARS:].strip()
    if structured or is_json(large):
        return Found(_json_score(small if structured else _unwrapped(small), large), "json")
    if {"A", "B"} <= set(_OPTIONS.findall(question)):
        ours, theirs = _option(small), _option(large)
        if ours is not None and theirs is not None:
            return Found(float(ours == theirs), "option")
    if len(_words(large)) <= _SHORT_WORDS and len(large) <= _SHORT_CHARS and not _CODE.search(large):
        return Found(_short_score(small, large), "short")
    boxed = _BOXED.findall(large)
    if boxed and (ours_boxed := _BOXED.findall(small)) and _plain(boxed[-1]) == _plain(ours_boxed[-1]):
        return Found(1.0, "boxed")
    if (boxed and _value_of(boxed[-1]) is not None) or (_NUMERIC.search(question) and not _CODE.search(large)):
        return Found(_number_score(small, large), "number")
    return Found(None, NOT_KNOWN)


def same_json(one: str, other: str) -> bool:
    """True if both are the same JSON value, a fence around it aside; numbers may differ in their last digits, strings
    in case and punctuation.
    """
    try:
        return all(pair is not None and _same(*pair) for pair in _leaves(_decoded(one), _decoded(other)))
    except (msgspec.DecodeError, RecursionError):
        return False


def is_json(text: str) -> bool:
    """True for a JSON object or array, in a fence or not."""
    if text[:1] not in ("{", "[", "`"):
        return False
    try:
        return isinstance(_decoded(text), dict | list)
    except (msgspec.DecodeError, RecursionError):
        return False


def _json_score(small: str, large: str) -> float | None:
    """Returns 1.0 if all short leaves are the same; long texts cannot be compared, and alone they tell nothing."""
    if not is_json(large):
        return None
    try:
        told = None
        for pair in _leaves(_decoded(small), _decoded(large)):
            if pair is None:
                return 0.0
            score = _leaf_score(*pair)
            if score == 0.0:
                return 0.0
            told = told or score
    except (msgspec.DecodeError, RecursionError):
        return 0.0
    return told


def _leaf_score(one: object, other: object) -> float | None:
    if not isinstance(one, str) or not isinstance(other, str):
        return float(_same(one, other))
    words, wanted = _words(one), _words(other)
    if len(wanted) > _SHORT_WORDS:
        return None
    number = _last_number(other) if 0 < len(wanted) <= 2 else None
    found = _last_number(one)
    return float(words == wanted if number is None else found is not None and _close(found, number))


def _unwrapped(text: str) -> str:
    """Returns the JSON object in a text that has words around it, as models like to give where nobody asked for JSON
    alone; other texts as they are.
    """
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if 0 <= start < end and not _FENCE.search(text) else text


def _decoded(text: str) -> object:
    fenced = _FENCE.search(text)
    return msgspec.json.decode(fenced.group(1) if fenced else text)


def _leaves(one: object, other: object) -> Iterator[tuple[object, object] | None]:
    """Yields the leaves of two JSON values in pairs, None where their forms differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        if one.keys() != other.keys():
            yield None
            return
        for name, value in one.items():
            yield from _leaves(value, other[name])
    elif isinstance(one, list) and isinstance(other, list):
        if len(one) != len(other):
            yield None
            return
        for ours, theirs in zip(one, other, strict=True):
            yield from _leaves(ours, theirs)
    else:
        yield one, other


def _same(one: object, other: object) -> bool:
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return _close(one, other)
    if isinstance(one, str | int | float) and isinstance(other, str | int | float):
        one, other = str(one), str(other)
        return one == other or (_words(one) == _words(other) != [])
    return one == other


def _option(text: str) -> str | None:
    """Returns the letter of the option that an answer chooses; of several, the last."""
    for place in _CHOSEN:
        if found := place.findall(text):
            return str(found[-1])
    return None


def _short_score(text: str, short: str) -> float | None:
    """Returns 1.0 if a text gives the same short answer, 0.0 if it gives another, None in between."""
    words, wanted = _words(text), _words(short)
    if not wanted or not words:
        return float(wanted == words)
    number = _last_number(short)
    if number is not None and len(wanted) <= 3:
        found = _last_number(text)
        return float(found is not None and _close(found, number))
    if wanted[0] in ("yes", "no"):
        return float(words[0] == wanted[0])
    if len(words) > 2 * _SHORT_WORDS:
        tail = f" {' '.join(_words(text[-_TAIL_CHARS:]))} "
        return 1.0 if f" {' '.join(wanted)} " in tail else None
    ours, theirs = set(words), set(wanted)
    if ours <= theirs or theirs <= ours or _initials(words) == "".join(wanted) or _initials(wanted) == "".join(words):
        return 1.0
    return None if ours & theirs or _alike(words, wanted) else 0.0


def _alike(one: list[str], other: list[str]) -> bool:
    """True if the longest words begin alike, as those of one family do."""
    longest, theirs = max(one, key=len), max(other, key=len)
    return len(longest) > 3 and longest[:4] == theirs[:4]


def _initials(words: list[str]) -> str:
    return "".join(word[0] for word in words) if len(words) > 1 else ""


def _words(text: str) -> list[str]:
    """Returns the words of a text, without case, forms of letters, punctuation, and words that say nothing."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return [word for word in _WORD.findall(folded) if word not in _UNSAID]


def _number_score(small: str, large: str) -> float | None:
    """Returns 1.0 if both come to the same number; None if the yardstick comes to none, or to several."""
    yardstick = _last_number(large)
    if yardstick is None or _DATE.search(_final(large)):
        return None
    number = _last_number(small)
    if number is not None and _close(number, yardstick):
        return 1.0
    several = len(_NUMBER.findall(_final(large))) > 1
    return None if several else 0.0


def _final(text: str) -> str:
    """Returns the words that name the answer, else the last line."""
    for place in _FINAL:
        if found := place.findall(text):
            return str(found[-1])
    return text.rstrip().rpartition("\n")[2]


def _last_number(text: str) -> float | None:
    """Returns the number that a text names as its answer, or that it ends with."""
    for place in _FINAL:
        found = place.findall(text)
        if found and (numbers := _NUMBER.findall(found[-1])):
            return _value(numbers[-1] if place is _BOXED else numbers[0])
    numbers = _NUMBER.findall(text)
    return _value(numbers[-1]) if numbers else None


def _plain(formula: str) -> str:
    return _LATEX.sub("", formula)


def _value_of(formula: str) -> float | None:
    """Returns the number that is all of a formula."""
    plain = formula.strip().replace("\\$", "").replace("\\%", "").rstrip("%")
    return _value(plain) if _NUMBER.fullmatch(plain) else None


def _value(number: str) -> float:
    return float(number.translate(_NOT_OF_A_NUMBER).replace("−", "-").replace("--", "-"))


def _close(one: float, other: float) -> bool:
    try:
        return isclose(one, other, rel_tol=1e-4, abs_tol=1e-9)
    except OverflowError:  # JSON has integers of any length
        return one == other
