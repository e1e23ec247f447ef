"""Secrets that are kept encrypted: AES-256-GCM under a master key that is not where they are.

What is sealed names the key that opens it, so that several may be in use while one replaces another. It is bound to
its place, so that it opens nowhere else: a value that somebody copies to another row is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from hashlib import blake2b
from typing import TYPE_CHECKING, Final, NamedTuple

from weebill.config.ledger_errors import LedgerError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
ID_BYTES: Final = 8
ID_AT: Final = 1  # behind the version
_VERSION: Final = b"\x01"
_HEADER_BYTES: Final = ID_AT + ID_BYTES
_NONCE_BYTES: Final = 12  # random: a key is good for 2**32 of them
_TAG_BYTES: Final = 16
_PERSON: Final = b"weebill.sealing"
_LENGTH_BYTES: Final = 4


class SealedError(LedgerError):
    """A sealed value cannot be opened; the message never has any of it."""


class Place(NamedTuple):
    """The place of a sealed value in the ledger."""

    table: str
    column: str
    row: str


class MasterKey:
    """A key that seals. `id` is shown and stored, and does not reveal the key."""

    __slots__ = ("_cipher", "_key", "id")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a master key has {KEY_BYTES} bytes, not {len(key)}")
        self.id = blake2b(key, digest_size=ID_BYTES, person=_PERSON).digest()
        self._key = key
        self._cipher: AESGCM | None = None

    def __repr__(self) -> str:
        # Without the key, as values end up in logs and tracebacks.
        return f"MasterKey({self.id.hex()})"

    def encrypt(self, nonce: bytes, plain: bytes, bound: bytes) -> bytes:
        """Returns ciphertext and tag; a nonce is used once."""
        return self._aead().encrypt(nonce, plain, bound)

    def decrypt(self, nonce: bytes, cipher: bytes, bound: bytes) -> bytes:
        """Returns the plain text. Raises SealedError if anything of it was changed."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._aead().decrypt(nonce, cipher, bound)
        except InvalidTag:
            raise SealedError("A sealed value was changed, or belongs to another place.") from None

    def _aead(self) -> AESGCM:
        if self._cipher is None:
            # Imported here: most commands and processes open nothing.
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM

            self._cipher = AESGCM(self._key)
        return self._cipher


def seal(key: MasterKey, place: Place, plain: bytes) -> bytes:
    """Returns the sealed value, which only the key opens, at that place."""
    header, nonce = _VERSION + key.id, secrets.token_bytes(_NONCE_BYTES)
    return header + nonce + key.encrypt(nonce, plain, _bound(header, place))


def key_id_of(sealed: bytes) -> bytes:
    """Returns the id of the key that opens a sealed value. Raises SealedError if it is none."""
    if len(sealed) < _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES or not sealed.startswith(_VERSION):
        raise SealedError("A sealed value is cut short, or of another release.")
    return sealed[ID_AT:_HEADER_BYTES]


def unseal(keys: Iterable[MasterKey], place: Place, sealed: bytes) -> bytes:
    """Returns what was sealed. Raises SealedError if none of the keys opens it at that place."""
    key_id = key_id_of(sealed)
    key = next((each for each in keys if each.id == key_id), None)
    if key is None:
        raise SealedError(f"What is in {place.table} needs the master key {key_id.hex()}, which is not here.")
    header, rest = sealed[:_HEADER_BYTES], sealed[_HEADER_BYTES:]
    return key.decrypt(rest[:_NONCE_BYTES], rest[_NONCE_BYTES:], _bound(header, place))


def _bound(header: bytes, place: Place) -> bytes:
    """Returns the data that a value is bound to: with lengths, so that no two places are alike."""
    parts = [part.encode() for part in place]
    return header + b"".join(len(part).to_bytes(_LENGTH_BYTES) + part for part in parts)
