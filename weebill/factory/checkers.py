"""Checkers of a model's answers, as data: each says if an answer is right, by rules and by no other model."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import msgspec

from weebill.auto.cascade.jsonschema import CannotTell, fits
from weebill.auto.cascade.refusal import check_refusal
from weebill.auto.cascade.schema_cost import Allowance, Json
from weebill.auto.languages import language
from weebill.wire.conversation import Text
from weebill.wire.reply import Choice, Reply, Usage

_FENCED: Final = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_NUMBER: Final = re.compile(r"[-−]?\d+(?:,\d{3})*(?:\.\d+)?")
_DIGITS: Final = re.compile(r"\d+")
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
# The forms in which an option is chosen; the first that is found counts.
_LETTERS: Final = (
    re.compile(r"^\W*([A-J])(?=\W*$|[.):,*\n])"),
    re.compile(r"\b(?:answer|option|choice)\s*(?:is|:)?\s*\W{0,3}([A-J])\b", re.IGNORECASE),
    re.compile(r"\b([A-J])\s+is (?:right|correct|the)\b"),
    re.compile(r"\(([A-J])\)"),
    re.compile(r"\b([B-J])\b"),
)
_LISTED: Final = re.compile(r"^\W*([A-J])[.):]", re.MULTILINE)
# An answer that lists so many options anew has chosen none.
_MOST_LISTED: Final = 2
# Signs of scripts that are written without spaces, each about half a word.
_UNSPACED: Final = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


class Call(msgspec.Struct, frozen=True):
    """A tool call of an answer; `arguments` is JSON as the model wrote it."""

    name: str
    arguments: str = "{}"


class Answer(msgspec.Struct, frozen=True):
    """A model's answer: its text, and the tools that it calls."""

    text: str = ""
    calls: tuple[Call, ...] = ()


class Says(msgspec.Struct, frozen=True, tag_field="is", tag="says"):
    """Right if the answer has one of `any` and none of `none`, as words, whatever the case."""

    any: tuple[str, ...]
    none: tuple[str, ...] = ()

    def holds(self, answer: Answer) -> bool:
        text = plain(answer.text)
        return any(_has(text, each) for each in self.any) and not any(_has(text, each) for each in self.none)


class Exact(msgspec.Struct, frozen=True, tag_field="is", tag="exact"):
    """Right if the answer is one of `any`, but for case and the signs around it."""

    any: tuple[str, ...]

    def holds(self, answer: Answer) -> bool:
        return _bare(answer.text) in map(_bare, self.any)


class Matches(msgspec.Struct, frozen=True, tag_field="is", tag="matches"):
    """Right if a regular expression is found in the answer."""

    pattern: str

    def holds(self, answer: Answer) -> bool:
        return re.search(self.pattern, answer.text) is not None


class Number(msgspec.Struct, frozen=True, tag_field="is", tag="number"):
    """Right if the answer's last number is `value`, give or take `within`."""

    value: float
    within: float = 1e-6

    def holds(self, answer: Answer) -> bool:
        found = _NUMBER.findall(plain(answer.text))
        return bool(found) and abs(float(found[-1].replace(",", "").replace("−", "-")) - self.value) <= self.within


class OnlyNumbers(msgspec.Struct, frozen=True, tag_field="is", tag="numbers"):
    """Right if the answer has no other numbers, in digits, than these: it makes none up."""

    among: tuple[str, ...]

    def holds(self, answer: Answer) -> bool:
        return set(_DIGITS.findall(plain(answer.text))) <= {
            part for each in self.among for part in _DIGITS.findall(each)
        }


class Letter(msgspec.Struct, frozen=True, tag_field="is", tag="letter"):
    """Right if the answer chooses the option `value`."""

    value: str

    def holds(self, answer: Answer) -> bool:
        if len(set(_LISTED.findall(answer.text))) > _MOST_LISTED:
            return False
        for form in _LETTERS:
            if found := form.search(answer.text):
                return found[1].upper() == self.value
        return False


class Language(msgspec.Struct, frozen=True, tag_field="is", tag="language"):
    """Right if the answer is written in the language with this ISO 639-1 code."""

    code: str

    def holds(self, answer: Answer) -> bool:
        found = language(answer.text, frozenset(word.lower() for word in _WORD.findall(answer.text)))
        # Of a few words, the language often cannot be told.
        return found == self.code or (not found and _length(answer.text) <= _FEW_WORDS)


class Length(msgspec.Struct, frozen=True, tag_field="is", tag="length"):
    """Right if the answer has at least and at most so many words."""

    least: int
    most: int

    def holds(self, answer: Answer) -> bool:
        return self.least <= _length(answer.text) <= self.most


class Declines(msgspec.Struct, frozen=True, tag_field="is", tag="declines"):
    """Right if the answer declines, or does not, as `expected`."""

    expected: bool

    def holds(self, answer: Answer) -> bool:
        choice = Choice(parts=(Text(answer.text),), finish="stop")
        verdict = check_refusal(Reply(id="", model="", choices=(choice,), usage=Usage()))
        return (not verdict.passed) is self.expected


class IsJson(msgspec.Struct, frozen=True, tag_field="is", tag="json"):
    """Right if the answer is JSON, perhaps in a fence, that has the members `equals` and fits the schema `fits`."""

    equals: msgspec.Raw = msgspec.Raw(b"null")
    fits: msgspec.Raw = msgspec.Raw(b"true")

    def holds(self, answer: Answer) -> bool:
        fenced = _FENCED.search(answer.text)
        try:
            value = _decoded((fenced[1] if fenced else answer.text).encode())
            return _covers(value, _decoded(self.equals)) and fits(value, _decoded(self.fits), Allowance())
        except (msgspec.DecodeError, UnicodeEncodeError, CannotTell):
            return False


class Calls(msgspec.Struct, frozen=True, tag_field="is", tag="calls"):
    """Right if the first tool called is this one, with at least these arguments."""

    name: str
    arguments: msgspec.Raw

    def holds(self, answer: Answer) -> bool:
        if not answer.calls or answer.calls[0].name != self.name:
            return False
        try:
            return _covers(_decoded(answer.calls[0].arguments.encode()), _decoded(self.arguments))
        except (msgspec.DecodeError, UnicodeEncodeError):
            return False


class CallsNothing(msgspec.Struct, frozen=True, tag_field="is", tag="calls_nothing"):
    """Right if no tool is called."""

    def holds(self, answer: Answer) -> bool:
        return not answer.calls


Check = (
    Says
    | Exact
    | Matches
    | Number
    | OnlyNumbers
    | Letter
    | Language
    | Length
    | Declines
    | IsJson
    | Calls
    | CallsNothing
)
_FEW_WORDS: Final = 12


def right(checks: tuple[Check, ...], answer: Answer) -> bool:
    """Returns True if the answer passes all checks."""
    return all(check.holds(answer) for check in checks)


def plain(text: str) -> str:
    """Returns a text in one form of its letters, digits and quotes, in lower case."""
    folded = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in folded)


def _has(text: str, phrase: str) -> bool:
    wanted = plain(phrase)
    # Only scripts with capitals are sure to have signs between words.
    before = r"(?<!\w)" if _bounded(wanted[0]) else ""
    after = r"(?!\w)" if _bounded(wanted[-1]) else ""
    if wanted.isdigit():
        before, after = r"(?<![\d.,])", r"(?!\d|[.,]\d)"
    return re.search(before + re.escape(wanted) + after, text) is not None


def _bounded(sign: str) -> bool:
    return sign.lower() != sign.upper()


def _bare(text: str) -> str:
    return plain(text).strip(" \t\r\n\"'`*.!?:;。！？「」“”")


def _length(text: str) -> int:
    return len(_UNSPACED.sub(" ", text).split()) + len(_UNSPACED.findall(text)) // 2


def _decoded(data: bytes | msgspec.Raw) -> Json:
    found: Json = msgspec.json.decode(data)
    return found


def _covers(value: Json, wanted: Json) -> bool:
    """Returns True if `value` has all members of `wanted`; texts are compared in lower case."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(name in value and _covers(value[name], wanted[name]) for name in wanted)
    if isinstance(wanted, list):
        same = isinstance(value, list) and len(value) == len(wanted)
        return same and all(map(_covers, value, wanted))  # type: ignore[arg-type]
    if isinstance(wanted, str) and isinstance(value, str):
        return _bare(value) == _bare(wanted)
    # JSON tells true from 1, Python does not.
    return wanted is None or (value == wanted and isinstance(value, bool) is isinstance(wanted, bool))
