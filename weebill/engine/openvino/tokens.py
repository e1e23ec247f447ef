"""From a prompt's text to its tokens, in pieces that the library's tokenizer reads whole.

It keeps only the last 8,192 tokens of what it is given
(https://github.com/openvinotoolkit/openvino.genai/blob/master/src/cpp/src/gguf_utils/gguf_tokenizer.cpp), and a token
has at least one byte. A text is cut only where its pre-tokenizer cuts as well, so the tokens are the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

MOST_BYTES: Final = 8192
"""Of a piece."""
# In characters, of which one has at most four bytes.
_MOST: Final = MOST_BYTES // 4


def specials_of(texts: Sequence[str]) -> re.Pattern[str]:
    """Returns what finds the texts that are tokens by themselves, the longest first."""
    return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True))) or r"(?!)")


def pieces_of(text: str, specials: re.Pattern[str]) -> Iterator[str]:
    """Yields the pieces of a text, none of which has more than `MOST_BYTES` bytes, unless it can be cut nowhere."""
    if len(text) <= _MOST:
        yield text
        return
    after = 0
    for found in specials.finditer(text):
        yield from _cut(text[after : found.start()])
        yield found.group()
        after = found.end()
    yield from _cut(text[after:])


def _cut(text: str) -> Iterator[str]:
    while len(text) > _MOST:
        at = next(filter(lambda at: _ends_a_word(text, at), range(_MOST, 0, -1)), 0) or next(
            filter(lambda at: _ends_a_word(text, at), range(_MOST + 1, len(text))), len(text)
        )
        yield text[:at]
        text = text[at:]
    if text:
        yield text


def _ends_a_word(text: str, at: int) -> bool:
    """True where a letter is followed by a space, a mark or a sign: all pre-tokenizers that are served cut there."""
    return text[at - 1].isalpha() and not text[at].isalnum() and text[at] != "'"
