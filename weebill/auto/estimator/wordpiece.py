"""WordPiece, as BERT has it: a word is the longest piece that fits, then the longest of the rest, and so on."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final
from zlib import crc32

import numpy as np

from weebill.auto.estimator.text import chunks, tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A known chunk is not tokenised again; the cache takes some 20 MB at most.
MAX_KNOWN_CHUNKS = 50_000
MAX_CHUNK_CHARS = 64
# Chunks of one text, all different, that are split into pieces: an ordinary text as long as the estimator reads has
# fewer. Of those that follow, which random characters have, only hashes are used, so that the time is bounded.
MAX_SPLIT_CHUNKS = 2_000
# The same for the tokens of one chunk.
MAX_SPLIT_TOKENS = 1_000
CONTINUED = "##"
# Signs that end many chunks, which are otherwise words.
_ENDS: Final = frozenset(",.?!;:")
# Pieces are looked up by their first characters.
_HEAD: Final = 3

if TYPE_CHECKING:
    Reading = tuple[NDArray[np.uint32], NDArray[np.int32]]

Chunk = tuple[bytes, bytes]
"""The hashes and the pieces of a chunk's tokens, as bytes of uint32 and int32, which are joined faster than lists."""


class Pieces:
    """The rows, as the bytes of int32, of the pieces that begin a word, or of those that continue one.

    `heads` has, by the first characters of long pieces, the length of the longest of these.
    """

    def __init__(self, rows: dict[str, bytes]) -> None:
        self.rows = rows
        self.heads: dict[str, int] = {}
        # The longest of those with the same head is last, and stays.
        for piece in sorted(rows, key=len):
            self.heads[piece[:_HEAD]] = len(piece)
        self.heads = {head: longest for head, longest in self.heads.items() if longest >= _HEAD}


class Words(dict[str, Chunk]):
    """A bounded cache of chunks, `words[chunk]`; when it is full, it is cleared."""

    def __init__(self, vocabulary: Sequence[str]) -> None:
        super().__init__()
        rows = array("i", range(len(vocabulary))).tobytes()
        first: dict[str, bytes] = {}
        following: dict[str, bytes] = {}
        for at, piece in enumerate(vocabulary):
            row = rows[at * 4 : at * 4 + 4]
            if piece.startswith(CONTINUED):
                following[piece[len(CONTINUED) :]] = row
            else:
                first[piece] = row
        self._first, self._next, self._whole = Pieces(first), Pieces(following), first
        self._last: tuple[str, Reading] = ("", (np.empty(0, np.uint32), np.empty(0, np.int32)))

    def read(self, text: str) -> Reading:
        """Returns the hashes of a text's tokens, in order, and the vocabulary's rows of their pieces.

        The last text is not read again.
        """
        last, reading = self._last
        if last != text:
            reading = self._read(text)
            self._last = text, reading
        return reading

    def _read(self, text: str) -> Reading:
        found = chunks(text)
        if len(found) > MAX_SPLIT_CHUNKS and len(different := dict.fromkeys(found)) > MAX_SPLIT_CHUNKS:
            read = self._read_bounded(found, list(different)[:MAX_SPLIT_CHUNKS])
        else:
            read = list(map(self.__getitem__, found))
        hashes = b"".join([chunk[0] for chunk in read])
        pieces = b"".join([chunk[1] for chunk in read])
        return np.frombuffer(hashes, np.uint32), np.frombuffer(pieces, np.int32)

    def _read_bounded(self, found: list[str], split: list[str]) -> list[Chunk]:
        """Returns the chunks; only those in `split` have pieces, known before or not, so that the text alone counts."""
        known = {chunk: self[chunk] for chunk in split}
        return [known.get(chunk) or (_hashes(tokens(chunk)), b"") for chunk in found]

    def __missing__(self, chunk: str) -> Chunk:
        if chunk.isalpha():
            known = (_hash(chunk), self._whole.get(chunk) or self._rows(chunk))
        elif chunk[-1] in _ENDS and chunk[:-1].isalpha():
            word, end = self[chunk[:-1]], self[chunk[-1]]
            known = (word[0] + end[0], word[1] + end[1])
        else:
            found = tokens(chunk)
            # Of a chunk of thousands of signs, few are different.
            different = dict.fromkeys(found)
            rows = {token: self._rows(token) for token in islice(different, MAX_SPLIT_TOKENS)}
            known = (_hashes(found), b"".join([rows.get(token, b"") for token in found]))
        # A very long chunk is rarely seen twice, and would undo the cache's bound.
        if len(chunk) <= MAX_CHUNK_CHARS:
            if len(self) >= MAX_KNOWN_CHUNKS:
                self.clear()
            self[chunk] = known
        return known

    def pieces(self, token: str) -> list[int]:
        """Returns the rows of a token's pieces; none if no pieces form it, or it is too long to be a word."""
        return array("i", self._rows(token)).tolist()

    def _rows(self, token: str) -> bytes:
        pieces, start, length = self._first, 0, len(token)
        if (row := pieces.rows.get(token)) is not None:
            return row
        if length > MAX_CHUNK_CHARS:
            return b""
        found = []
        while start < length:
            head = token[start : start + _HEAD]
            if (longest := pieces.heads.get(head)) is None:
                # No long piece begins like this, as mostly where the text is no word.
                end = start + _HEAD - 1
                if (row := pieces.rows.get(head[:-1] if len(head) == _HEAD else head)) is None:
                    end = start + 1
                    if (row := pieces.rows.get(head[0])) is None:
                        return b""
            else:
                for end in range(min(length, start + longest), start, -1):
                    if (row := pieces.rows.get(token[start:end])) is not None:
                        break
                else:
                    return b""
            found.append(row)
            start, pieces = end, self._next
        return b"".join(found)


def _hashes(found: list[str]) -> bytes:
    known = {token: _hash(token) for token in set(found)}
    return b"".join([known[token] for token in found])


def _hash(token: str) -> bytes:
    return crc32(token.encode("utf-8", "replace")).to_bytes(4, sys.byteorder)
