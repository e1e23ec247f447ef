"""The bounds of what is kept in memory, and the seal of what is kept elsewhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from weebill.cache.memory import ENTRY_OVERHEAD_BYTES, Memory
from weebill.cache.recording import Recording, seal, unseal
from weebill.wire.reply import Usage

USAGE = Usage.reported(3, 5)
SECRET = b"s" * 32
KEYS = st.sampled_from([bytes([each]) for each in range(12)])


def recording(size: int = 10, expires_at: float = 100.0) -> Recording:
    return Recording(b"x" * size, USAGE, "m", expires_at)


class MemoryMachine(RuleBasedStateMachine):
    """Against a plain list in order of use."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: list[bytes] = []
        self.max_bytes = 5 * (ENTRY_OVERHEAD_BYTES + 100)
        self.memory = Memory(self.max_bytes, self.gone.append)
        self.kept: list[tuple[bytes, Recording]] = []
        self.now = 0.0

    @rule(key=KEYS, size=st.integers(0, 8000), ttl=st.floats(0.5, 50))
    def put(self, key: bytes, size: int, ttl: float) -> None:
        fits = size + ENTRY_OVERHEAD_BYTES <= self.max_bytes
        found = recording(size, self.now + ttl)
        assert self.memory.put(key, found) is fits
        if fits:
            self.kept = [each for each in self.kept if each[0] != key]
            self.kept.append((key, found))
            self._make_room()

    @rule(key=KEYS)
    def get(self, key: bytes) -> None:
        known = dict(self.kept).get(key)
        expected = known if known is not None and known.expires_at > self.now else None
        assert self.memory.get(key, self.now) is expected
        self.kept = [each for each in self.kept if each[0] != key]
        if expected is not None:
            self.kept.append((key, expected))

    @rule(seconds=st.floats(0.1, 20))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(max_bytes=st.integers(0, 20_000))
    def resize(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.memory.resize(max_bytes)
        self._make_room()

    def _make_room(self) -> None:
        while self._used() > self.max_bytes:
            self.kept.pop(0)

    def _used(self) -> int:
        return sum(len(each.data) + ENTRY_OVERHEAD_BYTES for _, each in self.kept)

    @invariant()
    def bounded(self) -> None:
        assert self.memory.used_bytes == self._used() <= max(self.max_bytes, 0)
        assert len(self.memory) == len(self.kept)


TestMemory = MemoryMachine.TestCase


def test_each_key_that_goes_is_told() -> None:
    gone: list[bytes] = []
    memory = Memory(3 * (ENTRY_OVERHEAD_BYTES + 10), gone.append)
    for key in (b"a", b"b", b"c"):
        memory.put(key, recording())
    assert memory.get(b"a", 0.0) is not None
    memory.put(b"d", recording())
    assert gone == [b"b"]
    memory.put(b"d", recording())
    assert gone == [b"b", b"d"]
    assert memory.get(b"c", 1000.0) is None
    assert gone == [b"b", b"d", b"c"]


@given(data=st.binary(max_size=200), key=st.binary(min_size=32, max_size=32))
def test_what_is_sealed_comes_back(data: bytes, key: bytes) -> None:
    kept = Recording(data, USAGE, "m", 1.5)
    assert unseal(key, seal(key, kept, SECRET), SECRET) == kept


@pytest.mark.parametrize("change", ["key", "secret", "data", "seal", "short", "empty"])
def test_what_was_changed_does_not(change: str) -> None:
    key = b"k" * 32
    sealed = seal(key, recording(), SECRET)
    spoilt = {
        "data": sealed[:-1] + b"?",
        "seal": bytes([sealed[0] ^ 1]) + sealed[1:],
        "short": sealed[:20],
        "empty": b"",
    }.get(change, sealed)
    asked = b"o" * 32 if change == "key" else key
    assert unseal(asked, spoilt, b"o" * 32 if change == "secret" else SECRET) is None
