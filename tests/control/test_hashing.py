"""Passwords' hashes with the settings that people's are made with; tests of signing in have cheaper ones."""

from __future__ import annotations

from weebill.control.sign_in.hashing import Hasher

PASSWORD = "violet kettle marsh"


async def test_a_hash_costs_what_it_should_and_is_of_one_password() -> None:
    hasher = Hasher()
    stored, again = await hasher.hash(PASSWORD), await hasher.hash(PASSWORD)
    assert stored.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
    assert stored != again
    assert await hasher.verify(stored, PASSWORD)
    assert not await hasher.verify(stored, f"{PASSWORD} ")
    assert not await hasher.verify(None, PASSWORD)
