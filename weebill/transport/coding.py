"""Content codings (RFC 9110 section 8.4.1): compressed bodies, decoded in small steps.

A few bytes may stand for gigabytes, so each step has small input and output, and the total output is limited. Libraries
outside the standard library are imported with the first body that needs them.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Final, Protocol, cast

from weebill.transport.headers import Headers

STEP_BYTES: Final = 65_536
_MAX_CODINGS: Final = 3  # one upon another
_MAX_STREAMS: Final = 4096  # one after another, each of which may be empty
_IDENTITY: Final = ("", "identity")
# Receivers need not accept a larger window (RFC 9659), and ten bytes of head would allocate it.
_ZSTD_WINDOW_LOG: Final = 23
_DEFLATE: Final = 8  # the method in the first byte of a zlib stream
_RAW: Final = -zlib.MAX_WBITS
_GZIP: Final = 16 + zlib.MAX_WBITS


class CodingError(ValueError):
    """A body does not match its coding; the message has the reason."""


class UnknownCodingError(ValueError):
    """The coding is unknown; the message names it and the known ones."""


class TooLongError(ValueError):
    """A body is longer than allowed once it is decoded, or between two codings."""


def codings_of(headers: Headers) -> tuple[str, ...]:
    """Returns a body's content codings, in the order of application, in lower case; none for a plain body."""
    values = b",".join([value for name, value in headers if name == b"content-encoding"])
    names = [name.strip().lower() for name in values.decode("latin-1").split(",")]
    return tuple([name for name in names if name not in _IDENTITY])


class _Decompressor(Protocol):
    """A decompressor like those of the standard library. `decompress` raises CodingError."""

    eof: bool
    needs_input: bool
    unused_data: bytes

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Zlib:
    """gzip and deflate; the latter also without zlib's head, which some senders leave out."""

    def __init__(self, window_bits: int) -> None:
        self._window_bits = window_bits
        self._inflate = zlib.decompressobj(abs(window_bits)) if window_bits > 0 else None
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        inflate = self._inflate
        if inflate is None:
            raw = data[0] & 0x0F != _DEFLATE
            inflate = self._inflate = zlib.decompressobj(_RAW if raw else zlib.MAX_WBITS)
        try:
            piece = inflate.decompress(inflate.unconsumed_tail + data, max_length)
        except zlib.error as error:
            raise CodingError(str(error)) from None
        self.eof = inflate.eof
        self.needs_input = len(piece) < max_length and not inflate.unconsumed_tail
        self.unused_data = inflate.unused_data
        return piece


class _Brotli:
    def __init__(self) -> None:
        library = import_module("brotli")
        self._brotli = library.Decompressor()
        self._error: type[Exception] = library.error
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            piece = cast("bytes", self._brotli.process(data, output_buffer_limit=max_length))
        except self._error as error:
            raise CodingError(str(error)) from None
        self.eof = self._brotli.is_finished()
        # It may hold more output than it returned, and does not say so; another call returns the rest.
        self.needs_input = not piece
        return piece


class _Zstd:
    def __init__(self) -> None:
        library = import_module("backports.zstd")
        limit = {library.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
        self._zstd = library.ZstdDecompressor(options=limit)
        self._error: type[Exception] = library.ZstdError
        self.eof = False
        self.needs_input = True
        self.unused_data = b""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        try:
            piece = cast("bytes", self._zstd.decompress(data, max_length))
        except self._error as error:
            raise CodingError(str(error)) from None
        self.eof = self._zstd.eof
        self.needs_input = self._zstd.needs_input
        self.unused_data = self._zstd.unused_data
        return piece


_OPENED: Final[dict[str, Callable[[], _Decompressor]]] = {
    "gzip": lambda: _Zlib(_GZIP),
    "x-gzip": lambda: _Zlib(_GZIP),
    "deflate": lambda: _Zlib(-1),
    "br": _Brotli,
    "zstd": _Zstd,
}
# Codings whose bodies may be several streams in a row (RFC 1952 section 2.2, RFC 8878 section 3.1).
_REPEATED: Final = frozenset({"gzip", "x-gzip", "zstd"})
KNOWN: Final = "zstd, br, gzip, deflate"


class _Stage:
    """Removes one coding."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open = _OPENED[name]
        self._stream = self._open()
        self._streams = 1
        self._fed = False
        self._input = b""
        self._at = 0  # the end of the input that was taken

    @property
    def starved(self) -> bool:
        """True if there is no more output without more input."""
        stream = self._stream
        return (stream.eof or stream.needs_input) and self._at == len(self._input)

    @property
    def complete(self) -> bool:
        """True if the input may end here."""
        return self._stream.eof or not self._fed

    def feed(self, data: bytes) -> None:
        """Adds input; allowed once the stage is starved."""
        self._input = data
        self._at = 0
        self._fed = True

    def step(self) -> bytes:
        stream = self._stream
        if stream.eof:
            if self._name not in _REPEATED:
                raise CodingError(f"not {self._name}: it goes on after its end")
            if self._streams == _MAX_STREAMS:
                raise CodingError(f"more than {_MAX_STREAMS} streams in one body")
            self._streams += 1
            stream = self._stream = self._open()
        taken = b""
        if stream.needs_input:
            taken = self._input[self._at : self._at + STEP_BYTES]
            self._at += len(taken)
        try:
            piece = stream.decompress(taken, STEP_BYTES)
        except CodingError as error:
            raise CodingError(f"not {self._name}: {error}") from None
        if stream.eof:
            self._at -= len(stream.unused_data)
        return piece


class Decoding:
    """Removes a body's codings; each may give at most `most` bytes in all.

    After `feed`, call `step` until it is `starved`. Raises UnknownCodingError.
    """

    def __init__(self, codings: Iterable[str], most: float) -> None:
        given = tuple(codings)
        for name in given:
            if name not in _OPENED:
                raise UnknownCodingError(f"the content coding {name[:40]!r} is not known here; {KNOWN} are")
        if len(given) > _MAX_CODINGS:
            raise UnknownCodingError(f"more than {_MAX_CODINGS} content codings one upon another are not taken")
        self._stages = [_Stage(name) for name in reversed(given)]
        self._most = most
        self._given = [0] * len(self._stages)

    @property
    def starved(self) -> bool:
        """True if there is no more output without more input."""
        return all(stage.starved for stage in self._stages)

    def feed(self, data: bytes) -> None:
        """Adds input; allowed once the earlier input is used up."""
        if data:
            self._stages[0].feed(data)

    def step(self) -> bytes:
        """Makes one call of one decompressor, and returns the content that it gives, which may be b"".

        Raises CodingError and TooLongError.
        """
        last = len(self._stages) - 1
        for position in range(last, -1, -1):
            stage = self._stages[position]
            if stage.starved:
                continue
            piece = stage.step()
            self._given[position] += len(piece)
            if self._given[position] > self._most:
                raise TooLongError
            if position == last:
                return piece
            if piece:
                self._stages[position + 1].feed(piece)
            return b""
        return b""

    async def all_of(self, data: bytes) -> list[bytes]:
        """Returns the content that `data` completes; yields to other tasks between the steps. Raises as `step` does."""
        self.feed(data)
        pieces: list[bytes] = []
        while not self.starved:
            if piece := self.step():
                pieces.append(piece)
            await asyncio.sleep(0)
        return pieces

    def end(self) -> None:
        """Notes the end of the input. Raises CodingError if it breaks off."""
        if not all(stage.complete for stage in self._stages):
            raise CodingError("it breaks off before its end")
