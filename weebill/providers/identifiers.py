"""Names and ids that an upstream refuses, as it takes them: the same each time, and never one for two.

What fits stays as it is. Of the rest, each odd character becomes an underscore, and a part of a hash tells it from
others.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple


class Rule(NamedTuple):
    """The identifiers that an upstream takes: a pattern of them, one of a character that it refuses, the longest."""

    fits: re.Pattern[str]
    odd: re.Pattern[str]
    longest: int
    start: str = ""


def only(characters: str, longest: int, first: str = "") -> Rule:
    """Of names of these `characters`, `longest` at most, that begin with one of `first` or else with an underscore."""
    fits = f"[{first}][{characters}]{{0,{longest - 1}}}" if first else f"[{characters}]{{1,{longest}}}"
    return Rule(re.compile(fits), re.compile(f"[^{characters}]"), longest, first)


WORDS: Final = only(r"a-zA-Z0-9_-", 64)
"""Letters, digits, `_` and `-`."""


def any_of(longest: int) -> Rule:
    """Any characters, `longest` at most."""
    return Rule(re.compile(rf"[\s\S]{{0,{longest}}}"), re.compile(r"(?!)"), longest)


def fitted(given: str, by: Rule, digits: int = 8) -> str:
    """The identifier that stands for a name or an id at an upstream.

    >>> fitted("call.1|x", WORDS), fitted("call_1", WORDS), len(fitted("c" * 99, any_of(40)))
    ('call_1_x_4e413e2e', 'call_1', 40)
    """
    if by.fits.fullmatch(given):
        return given
    clean = by.odd.sub("_", given)
    if by.start and not re.match(f"[{by.start}]", clean):
        clean = f"_{clean}"
    digest = hashlib.sha256(given.encode(errors="surrogatepass")).hexdigest()[:digits]
    return f"{clean[: max(1, by.longest - digits - 1)]}_{digest}"[: by.longest]
