"""Embeddings of many texts, asked for in parts.

A server that makes vectors finishes what it has been asked for, even if its client has left. Asked for a little at a
time, it stops soon, and others have their turn in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Protocol, runtime_checkable

from msgspec import Raw, Struct, structs

from weebill.providers.base import Answer, Target
from weebill.wire.embeddings import EmbeddingsRequest
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list
from weebill.wire.operation_call import OperationCall
from weebill.wire.reply import Usage


class Size(NamedTuple):
    """The most that a part has, but for a longer text alone."""

    texts: int
    length: int


# About five hundred tokens, which take a small model half a second; and enough for texts of some words to be worked on
# side by side.
COMPUTED: Final = Size(texts=32, length=2048)
# Some hundredths of a second.
LOOKED_UP: Final = Size(texts=1024, length=64 << 10)


class Part(OperationCall):
    """A part of a call: the texts of `call` from the one at `first` on."""

    __slots__ = ("first",)

    def __init__(self, call: OperationCall, request: EmbeddingsRequest, fields: Json, first: int) -> None:
        super().__init__(request, fields, call.model, call.stream, call.own, call.endpoint)
        self.first = first


class Vectors(Struct, frozen=True):
    """The vectors of a part, in order, and what they used; None if the upstream did not say."""

    vectors: list[Raw]
    usage: Usage | None


@runtime_checkable
class InParts(Protocol):
    """A translator whose upstream is asked for embeddings in parts."""

    def parts(self, call: OperationCall, target: Target) -> list[OperationCall]:
        """Returns the parts of a call, in order; the call itself if one is enough."""

    def decode_part(self, body: bytes) -> Vectors:
        """Reads the answer to a part. Raises UpstreamFailure if it is none."""

    def joined(self, call: OperationCall, parts: Sequence[Vectors]) -> Answer:
        """Returns the answer to the call. Raises UpstreamFailure if there is none in the parts."""


def parts_of(call: OperationCall, request: EmbeddingsRequest, target: Target) -> list[OperationCall]:
    """Returns the parts of a call, in order; the call itself if one is enough."""
    if not isinstance(request.input, list) or request.count < 2:
        return [call]
    texts = decode_list(call.fields["input"])
    bounds = list(_bounds(texts, LOOKED_UP if target.static else COMPUTED))
    if len(bounds) < 2:
        return [call]
    return [
        Part(
            call,
            structs.replace(request, input=request.input[first:end]),
            {**call.fields, "input": Raw(b"[" + b",".join(map(bytes, texts[first:end])) + b"]")},
            first,
        )
        for first, end in bounds
    ]


def _bounds(texts: list[Raw], most: Size) -> Iterator[tuple[int, int]]:
    """Yields where each part begins and ends."""
    first = size = 0
    for index, text in enumerate(texts):
        length = len(memoryview(text))
        if index > first and (size + length > most.length or index - first == most.texts):
            yield first, index
            first, size = index, 0
        size += length
    yield first, len(texts)
