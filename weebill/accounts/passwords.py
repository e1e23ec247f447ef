"""The rule for passwords: long, and not among those that everybody tries first. There are no rules of composition."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from weebill.accounts.errors import BadFieldError

LEAST: Final = 12
MOST: Final = 256
"""In characters, after normalisation. Hashing takes the same time for all of them."""

_LEAST_DIFFERENT: Final = 5
# What people make twelve characters of, once digits and signs around it are gone.
_WORDS: Final = """
    password passwort motdepasse contrasena letmein welcome welcomeback iloveyou sunshine princess football baseball
    basketball superman batman starwars trustnoone whatever dragon monkey master shadow michael jennifer charlie
    freedom hello helloworld changeme changemenow default secret topsecret administrator admin root user guest test
    testing login signin access qwerty qwertyuiop qwertzuiop azertyuiop asdfghjkl zxcvbnm computer internet samsung
    google facebook liverpool chelsea arsenal barcelona summer winter spring autumn january february december
    monday friday company business correcthorsebatterystaple weebill openai chatgpt
"""
_COMMON: Final = frozenset(_WORDS.split())
_LEET: Final = str.maketrans("013457@$!", "oieastasi")
_ROWS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "yxcvbnm",
    "azertyuiop",
)
_DIGITS: Final = "01234567890123456789"
_LONGEST_PERIOD: Final = 7  # as of a weak word that is said twice
_DIGITS_OF_A_YEAR: Final = 4


def normal(password: str) -> str:
    """Returns a password in the form that is hashed: the same for all keyboards that write the same characters."""
    return unicodedata.normalize("NFKC", password)


def checked_password(password: str, email: str, param: str = "password") -> str:
    """Returns a new password in the form that is hashed. Raises BadFieldError."""
    form = normal(password)
    if not LEAST <= len(form) <= MOST:
        raise BadFieldError(f"Choose a password of {LEAST} to {MOST} characters; this one has {len(form)}.", param)
    if "\0" in form:
        raise BadFieldError("A password has no NUL characters.", param)
    if is_common(form, email):
        raise BadFieldError("This password is among the first that are tried; choose another one.", param)
    return form


def is_common(password: str, email: str = "") -> bool:
    """True if a password is what others use, little else, or the person's own address."""
    text = password.casefold()
    if len(set(text)) < _LEAST_DIFFERENT or _repeats(text):
        return True
    local, _, domain = email.casefold().partition("@")
    own = {part for part in (local, domain, email.casefold(), *re.split(r"[.@_+-]", email.casefold())) if len(part) > 2}
    inner = re.sub(r"^[^a-z]+|[^a-z]+$", "", text)
    return any(
        _is_made_of(word, own) for word in (text, text.replace(inner, inner.translate(_LEET)) if inner else text)
    )


def _repeats(text: str) -> bool:
    return any(text == (text[:period] * len(text))[: len(text)] for period in range(1, _LONGEST_PERIOD + 1))


def _is_made_of(text: str, own: set[str]) -> bool:
    """True if nothing is left of a text but few characters, without words and runs that are guessed."""
    rest = re.sub(r"[^a-z]+", "", text)
    for word in sorted(_COMMON | own, key=len, reverse=True):
        rest = rest.replace(re.sub(r"[^a-z]+", "", word) or "\0", "")
    digits = re.sub(r"\D+", "", text)
    letters, numbers = len(_without_runs(rest, _ROWS)), len(_without_runs(digits, (_DIGITS,)))
    others = len(re.sub(r"[a-z\d]+", "", text))
    return letters + max(0, numbers - _DIGITS_OF_A_YEAR) + others // 2 < _LEAST_DIFFERENT


def _without_runs(text: str, rows: tuple[str, ...]) -> str:
    """Returns a text without the runs of four and more neighbours in a row of keys, either way."""
    lines = [line for row in rows for line in (row, row[::-1])]
    kept, at = "", 0
    while at < len(text):
        length = 1
        while at + length < len(text) and any(text[at : at + length + 1] in line for line in lines):
            length += 1
        if length < 4:
            kept += text[at : at + length]
        at += length
    return kept
