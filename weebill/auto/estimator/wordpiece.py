"""WordPiece, as BERT has it: a word is the longest piece that fits, then the longest of the rest, and so on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from weebill.auto.estimator.text import chunks, token_hash, tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A known chunk is not tokenised again; the cache takes some 20 MB at most.
MAX_KNOWN_CHUNKS = 50_000
MAX_CHUNK_CHARS = 64
CONTINUED = "##"


class Chunk(NamedTuple):
    """The hashes and pieces of a chunk's tokens, as the bytes of uint32 and int32: joining them is faster
    than lists.
    """

    hashes: bytes
    pieces: bytes


class Words(dict[str, Chunk]):
    """A bounded cache of chunks, `words[chunk]`; when it is full, it is cleared."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        super().__init__()
        self._rows = {piece: row for row, piece in enumerate(vocabulary)}
        self._longest = max(map(len, vocabulary), default=0)

    def read(self, text: str) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
        """Returns the hashes of a text's tokens, in order, and the vocabulary's rows of their pieces."""
        read = [self[chunk] for chunk in chunks(text)]
        hashes = b"".join([chunk.hashes for chunk in read])
        pieces = b"".join([chunk.pieces for chunk in read])
        return np.frombuffer(hashes, np.uint32), np.frombuffer(pieces, np.int32)

    def __missing__(self, chunk: str) -> Chunk:
        found = tokens(chunk)
        hashes = np.array([token_hash(token) for token in found], np.uint32)
        pieces = np.array([row for token in found for row in self.pieces(token)], np.int32)
        known = Chunk(hashes.tobytes(), pieces.tobytes())
        # A very long chunk is rarely seen twice, and would undo the cache's bound.
        if len(chunk) <= MAX_CHUNK_CHARS:
            if len(self) >= MAX_KNOWN_CHUNKS:
                self.clear()
            self[chunk] = known
        return known

    def pieces(self, token: str) -> list[int]:
        """Returns the rows of a token's pieces; none if no pieces form it, or it is too long to be a word."""
        if len(token) > MAX_CHUNK_CHARS:
            return []
        rows, start, prefix = [], 0, ""
        while start < len(token):
            for end in range(min(len(token), start + self._longest), start, -1):
                if (row := self._rows.get(prefix + token[start:end])) is not None:
                    break
            else:
                return []
            rows.append(row)
            start, prefix = end, CONTINUED
        return rows
