"""The keys that a worker knows, with a test in place of whoever it asks."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable

import pytest
from msgspec import Raw

from weebill.accounts import keyring
from weebill.accounts.api_key import ApiKey, FoundKey, KeyChanges
from weebill.accounts.keyring import KeyDirectory, KeyRing, LedgerUnavailable
from weebill.accounts.known_key import KnownKey
from weebill.accounts.pepper import digest_of
from weebill.process.questions import Position, Unanswered, encode

PEPPER = b"p" * 32
TOKEN = b"sk-wb-" + b"a" * 43
OTHER = b"sk-wb-" + b"b" * 43
KEY = ApiKey(id="key_1", name="a", role="user", hint="sk-wb-aa...aaaa", created_at=1)


class Ledger:
    """Answers what a test has put into it; `hold` keeps answers back."""

    def __init__(self, **keys: ApiKey) -> None:
        self.keys: dict[bytes, ApiKey] = {}
        self.asked: list[bytes] = []
        self.away = False
        self.answering = asyncio.Event()
        self.answering.set()
        self.put(TOKEN, KEY)

    def put(self, token: bytes, key: ApiKey) -> None:
        self.keys[digest(token)] = key

    async def ask(self, topic: str, question: object) -> Raw:
        assert topic == "keys"
        assert isinstance(question, bytes)
        self.asked.append(question)
        key = self.keys.get(question)
        answer = None if key is None else FoundKey(key)
        await self.answering.wait()
        if self.away:
            raise Unanswered("away")
        return Raw(encode(answer))


def digest(token: bytes) -> bytes:
    found = digest_of(token, PEPPER)
    assert found is not None
    return found


def changes(version: int, *tokens: bytes, source: str = "1:1") -> Raw:
    ids = {TOKEN: KEY.id, OTHER: "key_2"}
    return Raw(encode(KeyChanges(source, version, {ids[token]: [digest(token)] for token in tokens})))


async def found(finding: Awaitable[KnownKey | None]) -> ApiKey | None:
    known = await finding
    return None if known is None else known.key


def is_known(ring: KeyRing, token: bytes) -> bool:
    known = ring.known(token)
    assert known is None or known.key == KEY
    return known is not None


def anything(version: int, source: str = "1:1") -> Raw:
    return Raw(encode(KeyChanges(source, version)))


@pytest.fixture
async def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def ring(ledger: Ledger) -> KeyRing:
    return KeyRing(PEPPER, ledger.ask)


async def test_a_key_is_asked_about_once(ledger: Ledger, ring: KeyRing) -> None:
    assert ring.known(TOKEN) is None
    assert not ring.refuses(TOKEN)
    ledger.answering.clear()
    finding = [asyncio.ensure_future(ring.find(TOKEN)) for _ in range(20)]
    await asyncio.sleep(0)
    finding[0].cancel()  # a client that leaves leaves the others their answer
    ledger.answering.set()
    assert [await found(each) for each in finding[1:]] == [KEY] * 19
    assert len(ledger.asked) == 1
    assert is_known(ring, TOKEN)


@pytest.mark.parametrize("token", [b"", b"sk-other", b"sk-wb-" + b"x" * 10_000, b"\xff"])
async def test_what_cannot_be_a_key_is_refused_without_a_question(ledger: Ledger, ring: KeyRing, token: bytes) -> None:
    assert ring.refuses(token)
    assert await ring.find(token) is None
    assert await KeyDirectory(PEPPER, ledger.ask).find(token) is None
    assert ledger.asked == []


async def test_what_no_key_has_is_asked_about_once(ledger: Ledger, ring: KeyRing) -> None:
    assert await ring.find(OTHER) is None
    assert ring.refuses(OTHER)
    assert ring.known(OTHER) is None
    assert len(ledger.asked) == 1


async def test_a_directory_asks_each_time(ledger: Ledger) -> None:
    directory = KeyDirectory(PEPPER, ledger.ask)
    assert [await found(directory.find(TOKEN)), await found(directory.find(TOKEN))] == [KEY, KEY]
    assert len(ledger.asked) == 2
    ledger.away = True
    with pytest.raises(LedgerUnavailable):
        await directory.find(TOKEN)


@pytest.mark.parametrize(
    ("news", "forgets"),
    [
        (changes(6, TOKEN), True),
        (changes(6, OTHER), False),
        (changes(5), False),  # a sign of life
        (anything(6), True),
        (anything(2, source="1:2"), True),
    ],
    ids=["it", "another", "nothing", "perhaps all", "another ledger"],
)
async def test_what_has_changed_is_forgotten(ledger: Ledger, ring: KeyRing, news: Raw, forgets: bool) -> None:
    ring.hear(anything(5))
    await ring.find(TOKEN)
    generation = ring.generation
    ring.hear(news)
    assert (ring.known(TOKEN) is None) == forgets
    assert not forgets or ring.generation > generation
    position = ring.position()
    assert (position.source, position.version) in {("1:1", 5), ("1:1", 6), ("1:2", 2)}


async def test_a_refusal_that_has_changed_is_forgotten(ledger: Ledger, ring: KeyRing) -> None:
    await ring.find(OTHER)
    ledger.put(OTHER, KEY)
    ring.hear(changes(6, OTHER))
    assert not ring.refuses(OTHER)
    assert await found(ring.find(OTHER)) == KEY


@pytest.mark.parametrize("token", [TOKEN, OTHER], ids=["revoked", "made"])
async def test_an_answer_that_was_overtaken_is_not_kept(ledger: Ledger, ring: KeyRing, token: bytes) -> None:
    ledger.answering.clear()
    finding = asyncio.ensure_future(ring.find(token))
    while not ledger.asked:
        await asyncio.sleep(0)
    ring.hear(changes(6, token))
    ledger.answering.set()
    await finding
    assert ring.known(token) is None
    assert not ring.refuses(token)


async def test_memory_is_bounded_under_a_flood(ledger: Ledger, ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring, "CAPACITY", 50)
    for _ in range(500):
        assert await ring.find(b"sk-wb-" + secrets.token_bytes(32)) is None
    assert len(ring._refused) == 50
    assert await found(ring.find(TOKEN)) == KEY
    for _ in range(60):
        token = b"sk-wb-" + secrets.token_hex(16).encode()
        ledger.put(token, KEY)
        assert await found(ring.find(token)) == KEY
    assert len(ring._known) == 50


async def test_of_a_rotated_key_all_secrets_are_asked_about_anew(ledger: Ledger, ring: KeyRing) -> None:
    ledger.put(OTHER, KEY)  # the same key by two secrets
    for token in (TOKEN, OTHER):
        assert await found(ring.find(token)) == KEY
    third = digest(b"sk-wb-" + b"c" * 43)  # of the first, the ledger knows nothing any more
    ring.hear(Raw(encode(KeyChanges("1:1", 6, {KEY.id: [third, digest(OTHER)]}))))
    assert (ring.known(TOKEN), ring.known(OTHER)) == (None, None)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the time."""
    now = [0.0]
    monkeypatch.setattr(keyring.time, "monotonic", lambda: now[0])

    def at(seconds: float) -> None:
        now[0] = seconds

    return at


@pytest.mark.parametrize("grace_s", [60, 300])
async def test_known_keys_outlive_the_ledger_for_a_while(
    ledger: Ledger, clock: Callable[[float], None], caplog: pytest.LogCaptureFixture, grace_s: int
) -> None:
    caplog.set_level(logging.INFO)
    ring = KeyRing(PEPPER, ledger.ask, grace_s)
    assert not ring.ready
    ring.hear(anything(5))
    assert ring.ready
    await ring.find(TOKEN)
    ledger.away = True
    for second in range(1, grace_s):
        clock(second)
        ring.settle()
        assert is_known(ring, TOKEN)
        with pytest.raises(LedgerUnavailable):
            await ring.find(OTHER)
    assert not ring.refuses(OTHER)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    ring.hear(changes(5))
    assert is_known(ring, TOKEN)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]

    clock(2 * grace_s)
    ring.settle()
    assert ring.known(TOKEN) is None
    assert not ring.ready
    assert ring.position() == Position()  # what has changed since is not known
