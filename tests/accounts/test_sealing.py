"""Sealed values: published vectors of AES-GCM, what they are bound to, and the file of the master keys."""

from __future__ import annotations

import stat
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest

from weebill.accounts.master_keys import (
    VARIABLE,
    add_master_key,
    ensure_master_keys,
    keep_master_keys,
    read_master_keys,
)
from weebill.accounts.sealing import MasterKey, Place, SealedError, key_id_of, seal, unseal
from weebill.config.ledger_errors import LedgerError

# C2SP's Wycheproof, testvectors_v1/aes_gcm_test.json: valid or not, key, nonce, associated data, plain, cipher, tag.
_K: Final = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
_N, _P, _C = "505152535455565758595a5b", "202122232425262728292a2b2c2d2e2f", "b2061457c0759fc1749f174ee1ccadfa"
VECTORS: Final = {
    91: (
        *(True, "92ace3e348cd821092cd921aa3546374299ab46209691bc28b8752d17f123c20", "00112233445566778899aabb"),
        *("00000000ffffffff", "00010203040506070809", "e27abdd2d2a53d2f136b", "9a4a2579529301bcfb71c78d4060f52c"),
    ),
    92: (
        *(True, "29d3a44f8723dc640239100c365423a312934ac80239212ac3df3421a2098123", "00112233445566778899aabb"),
        *("aabbccddeeff", "", "", "2a7d77fa526b8250cb296078926b5020"),
    ),
    93: (
        *(True, "80ba3192c803ce965ea371d5ff073cf0f43b6a2ab576b208426e11409c09b9b0", "4da5bf8dfd5852c1ea12379d"),
        *("", "", "", "4771a7c404a472966cea8f73c8bfe17a"),
    ),
    130: (False, _K, _N, "", _P, _C, "9de8fef6d8ab1bf1bf887232eab590dd"),
    131: (False, _K, _N, "", _P, _C, "9ee8fef6d8ab1bf1bf887232eab590dd"),
    132: (False, _K, _N, "", _P, _C, "1ce8fef6d8ab1bf1bf887232eab590dd"),
}
PLACE: Final = Place("provider_keys", "secret", "pkey_1")
KEY: Final = MasterKey(bytes(range(32)))
PLAIN: Final = b"sk-of-a-provider"


@pytest.mark.parametrize("number", VECTORS)
def test_published_vectors(number: int) -> None:
    valid, *parts = VECTORS[number]
    key, nonce, bound, plain, cipher, tag = (bytes.fromhex(str(part)) for part in parts)
    master = MasterKey(key)
    assert (master.encrypt(nonce, plain, bound) == cipher + tag) is valid
    if valid:
        assert master.decrypt(nonce, cipher + tag, bound) == plain
    else:
        with pytest.raises(SealedError):
            master.decrypt(nonce, cipher + tag, bound)


def test_what_is_sealed_opens_at_its_place_alone() -> None:
    sealed = seal(KEY, PLACE, PLAIN)
    assert PLAIN not in sealed
    assert unseal([MasterKey(b"o" * 32), KEY], PLACE, sealed) == PLAIN
    # The last has the same bytes as the place, cut at another point.
    for other in (
        PLACE._replace(row="pkey_2"),
        PLACE._replace(column="hint"),
        Place("provider_key", "ssecret", "pkey_1"),
    ):
        with pytest.raises(SealedError):
            unseal([KEY], other, sealed)


def test_two_values_are_never_alike() -> None:
    assert len({seal(KEY, PLACE, PLAIN) for _ in range(100)}) == 100


@pytest.mark.parametrize("at", range(len(seal(KEY, PLACE, PLAIN))))
def test_every_changed_byte_is_noticed(at: int) -> None:
    sealed = bytearray(seal(KEY, PLACE, PLAIN))
    sealed[at] ^= 1
    with pytest.raises(SealedError) as refused:
        unseal([KEY], PLACE, bytes(sealed))
    assert PLAIN.decode() not in str(refused.value)


@pytest.mark.parametrize("length", [0, 1, 9, 21, 36])
def test_what_was_cut_short_is_refused(length: int) -> None:
    with pytest.raises(SealedError):
        unseal([KEY], PLACE, seal(KEY, PLACE, b"")[:length])


def test_an_unknown_key_is_named_and_not_shown() -> None:
    with pytest.raises(SealedError, match=KEY.id.hex()):
        unseal([MasterKey(b"o" * 32)], PLACE, seal(KEY, PLACE, PLAIN))
    assert key_id_of(seal(KEY, PLACE, PLAIN)) == KEY.id
    assert bytes(range(32)).hex() not in repr(KEY) + KEY.id.hex()


def test_the_file_is_made_once_and_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: ensure_master_keys(path, {})[0].id, range(16)))
    assert len(set(made)) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["master.key"]


def test_a_new_key_comes_before_the_old_one_until_that_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    old = ensure_master_keys(path, {})[0]
    new = add_master_key(path)
    assert [key.id for key in read_master_keys(path, {})] == [new.id, old.id]
    assert keep_master_keys(path, [new.id]) == 1
    assert [key.id for key in read_master_keys(path, {})] == [new.id]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_variable_comes_in_place_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    given = [bytes([number]) * 32 for number in (1, 2)]
    environment = {VARIABLE: ", ".join(b64encode(key).decode() for key in given)}
    assert [key.id for key in ensure_master_keys(path, environment)] == [MasterKey(key).id for key in given]
    assert not path.exists()


@pytest.mark.parametrize("text", ["", "\n# nothing\n", "c2hvcnQ=\n", "not base64 at all!\n", "AAAA" * 16])
def test_a_file_without_keys_says_what_to_do_and_quotes_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / "master.key"
    path.write_text(text)
    with pytest.raises(LedgerError, match="openssl rand -base64 32") as refused:
        read_master_keys(path, {})
    assert not text.strip() or text.strip() not in str(refused.value)
