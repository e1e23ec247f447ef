"""A stored answer: the bytes that the client got, to be sent again unchanged."""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import msgspec
from msgspec import Struct

from weebill.wire.reply import Usage

_SEAL_BYTES: Final = 16
_PERSON: Final = b"weebill seal"


class Recording(Struct, frozen=True, array_like=True):
    """A stored answer: `data` is a body or the bytes of a whole stream; `usage` is what `model` used for it.

    `expires_at` is Unix time in seconds.
    """

    data: bytes
    usage: Usage
    model: str
    expires_at: float


_encode: Final = msgspec.msgpack.encode
_decode: Final = msgspec.msgpack.Decoder(Recording).decode


def seal(key: bytes, recording: Recording, secret: bytes) -> bytes:
    """Packs a recording for a store that others can write to: a changed or swapped recording is detected."""
    packed = _encode(recording)
    return _mac(key, packed, secret) + packed


def unseal(key: bytes, sealed: bytes, secret: bytes) -> Recording | None:
    """Unpacks a recording sealed under that key; None if it was not."""
    packed = sealed[_SEAL_BYTES:]
    if sealed[:_SEAL_BYTES] != _mac(key, packed, secret):
        return None
    return _decode(packed)


def _mac(key: bytes, packed: bytes, secret: bytes) -> bytes:
    mac = blake2b(key, digest_size=_SEAL_BYTES, key=secret, person=_PERSON)
    mac.update(packed)
    return mac.digest()
