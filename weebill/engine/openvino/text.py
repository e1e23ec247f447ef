"""From tokens to the text that a client is sent: characters as they are complete, stop words, and thoughts."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Final, NamedTuple

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"


class Delta(NamedTuple):
    """A piece of an answer: what is `said`, and what was only `thought`."""

    said: str = ""
    thought: str = ""


class Characters:
    """Bytes of tokens as text; what a character's bytes may still become is held back."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token: int) -> str:
        """Returns the characters that a token completes."""
        piece = self._pieces[token] if 0 <= token < len(self._pieces) else b""
        return self._decoder.decode(piece)

    def finish(self) -> str:
        """Returns a sign for what never became a character."""
        return self._decoder.decode(b"", final=True)


class StopWords:
    """Holds back what may become a word that ends the answer; `met` is that word, once it is there."""

    def __init__(self, words: Sequence[str]) -> None:
        self._words = [word for word in words if word]
        self._held = ""
        self.met: str | None = None

    def feed(self, text: str) -> str:
        """Returns the text that comes before any of the words, as far as that is sure."""
        if not self._words or self.met is not None:
            return "" if self.met is not None else text
        self._held += text
        found = [(at, word) for word in self._words if (at := self._held.find(word)) >= 0]
        if found:
            # The one that is complete first, as it would be if the text came letter by letter.
            at, self.met = min(found, key=lambda each: (each[0] + len(each[1]), each[0]))
            passed, self._held = self._held[:at], ""
            return passed
        keep = max((_overlap(self._held, word) for word in self._words), default=0)
        passed, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return passed

    def finish(self) -> str:
        """Returns what was held back, as no more comes."""
        held, self._held = self._held, ""
        return held


class Thoughts:
    """Tells what a model thinks before it answers, between `<think>` and `</think>`, from what it says.

    `inside` is True if the prompt has begun a thought already.
    """

    def __init__(self, inside: bool) -> None:
        self._inside = inside
        self._begins = True
        self._over = False
        self._held = ""

    def feed(self, text: str) -> Delta:
        """Returns what is sure by now."""
        if self._over:
            return self._said(text)
        self._held += text
        if not self._inside:
            start = self._held.lstrip()
            if not start or (_OPEN.startswith(start) and start != _OPEN):
                return Delta()
            if not start.startswith(_OPEN):
                self._over, self._begins = True, False
                held, self._held = self._held, ""
                return Delta(said=held)
            self._inside, self._held = True, start.removeprefix(_OPEN)
        thought, found, rest = self._held.partition(_CLOSE)
        if found:
            self._over, self._held = True, ""
            ended = self._thought(thought.rstrip())
            self._begins = True
            return Delta(self._said(rest).said, ended)
        # Space before the end is none of the thought.
        sure = self._held[: len(self._held) - _overlap(self._held, _CLOSE)].rstrip()
        self._held = self._held[len(sure) :]
        return Delta(thought=self._thought(sure))

    def finish(self) -> Delta:
        """Returns what was held back, as no more comes."""
        held, self._held = self._held, ""
        return Delta(thought=self._thought(held.rstrip())) if self._inside and not self._over else Delta(said=held)

    def _thought(self, text: str) -> str:
        return self._without_space_first(text)

    def _said(self, text: str) -> Delta:
        return Delta(said=self._without_space_first(text))

    def _without_space_first(self, text: str) -> str:
        if self._begins:
            text = text.lstrip()
            self._begins = not text
        return text


def _overlap(text: str, word: str) -> int:
    """Returns the length of the longest end of `text` that `word` begins with, short of all of it."""
    for length in range(min(len(text), len(word) - 1), 0, -1):
        if word.startswith(text[len(text) - length :]):
            return length
    return 0
