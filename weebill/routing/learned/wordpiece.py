"""Words as pieces of a fixed vocabulary, BERT's WordPiece: the longest piece that fits, then the longest of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from weebill.routing.learned.text import token_hash

# Words that are seen again need no second look: some 20 MB at most.
MAX_KNOWN_WORDS = 50_000
MAX_WORD_CHARS = 100
CONTINUED = "##"


class Word(NamedTuple):
    """A token's hash, and its rows in the vocabulary; none if it has no pieces."""

    hash: int
    pieces: tuple[int, ...]


class Words(dict[str, Word]):
    """`words[token]`: what is known of a token. A bounded cache; when it is full it starts again."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self._rows = {piece: row for row, piece in enumerate(vocabulary)}
        self._longest = max(map(len, vocabulary), default=0)

    def __missing__(self, token: str) -> Word:
        if len(self) >= MAX_KNOWN_WORDS:
            self.clear()
        word = Word(token_hash(token), self._pieces(token))
        # A very long token is not worth keeping, and would make the cache's bound one in name only.
        if len(token) <= MAX_WORD_CHARS:
            self[token] = word
        return word

    def _pieces(self, token: str) -> tuple[int, ...]:
        found, start, prefix = [], 0, ""
        if len(token) > MAX_WORD_CHARS:
            return ()
        while start < len(token):
            for end in range(min(len(token), start + self._longest), start, -1):
                row = self._rows.get(prefix + token[start:end])
                if row is not None:
                    break
            else:
                return ()
            found.append(row)
            start, prefix = end, CONTINUED
        return tuple(found)
