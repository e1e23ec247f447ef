"""What is answered and told of a real ledger, whichever file is there."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from msgspec import Raw

from tests.fixtures.ledger import SQLITE, open_file
from weebill.accounts.api_key import ApiKey, FoundKey, KeyChanges
from weebill.accounts.keys import Keys as KeyRules
from weebill.accounts.pepper import digest_of, read_pepper
from weebill.auto.experiments import Experiments
from weebill.config.paths import Home
from weebill.ledger import topics
from weebill.ledger.topics import KeyFeed, Keys, Responses, RunningExperiments
from weebill.process.questions import Position, Unanswered, encode
from weebill.storage.database import Database
from weebill.storage.experiments import open_experiments
from weebill.storage.keys import open_keys
from weebill.storage.opening import open_ledger, open_responses
from weebill.storage.versions import Positions
from weebill.wire.responses_state import StoredResponse
from weebill.wire.responses_store import Delete, Get, History, Items, Put


@pytest.fixture
def keys(home: Home) -> Iterator[KeyRules]:
    with open_keys(home, SQLITE) as keys:
        yield keys


@pytest.fixture
def ledger(home: Home) -> Iterator[Database]:
    with open_ledger(home, SQLITE, patience_s=1.0) as ledger:
        yield ledger


@pytest.fixture
def topic(ledger: Database) -> Keys:
    return Keys(ledger, Positions(ledger))


def asked(topic: Keys, home: Home, secret: str) -> ApiKey | None:
    digest = digest_of(secret.encode(), read_pepper(home.pepper))
    found = msgspec.msgpack.decode(topic.answer(Raw(encode(digest))), type=FoundKey | None)
    return None if found is None else found.key


def feed(topic: Keys, position: Position = Position()) -> KeyFeed:  # noqa: B008 - it is immutable
    return topic.feed(Raw(encode(position)))


def told(following: KeyFeed) -> KeyChanges | None:
    news = following.news()
    return None if news is None else msgspec.msgpack.decode(news, type=KeyChanges)


def replace(home: Home) -> None:
    """Put a copy in the place of the ledger, as restoring a backup does."""
    copy = home.root / "copy.db"
    with closing(open_file(home.database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    for path in home.root.glob("weebill.db*"):
        path.unlink()
    copy.rename(home.database)


def test_a_key_is_found_by_its_digest_while_it_is_active(home: Home, keys: KeyRules, topic: Keys) -> None:
    created = keys.create("a", "admin")
    assert asked(topic, home, created.secret) == created.key
    assert asked(topic, home, "sk-wb-" + "x" * 43) is None
    keys.revoke("a")
    assert asked(topic, home, created.secret) is None


def test_changes_are_told_once(home: Home, keys: KeyRules, topic: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_SIGN_OF_LIFE_S", 1000.0)
    keys.create("before")
    following = feed(topic)
    first = told(following)
    assert first is not None
    assert first.changed is None  # of what nothing was known, anything may have changed
    assert told(following) is None
    created = keys.create("a")
    keys.create("b")
    keys.revoke("a")
    changes = told(following)
    assert changes is not None
    assert changes.changed is not None
    assert len(changes.changed) == 2
    assert changes.changed[created.key.id] == [digest_of(created.secret.encode(), read_pepper(home.pepper))]
    assert told(following) is None
    again = told(feed(topic, Position(first.source, first.version)))  # by one who was away
    assert again is not None
    assert again.changed == changes.changed


def test_a_sign_of_life_is_given(keys: KeyRules, topic: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    following = feed(topic)
    told(following)
    monkeypatch.setattr(topics.time, "monotonic", lambda: 1e9)
    sign = told(following)
    assert sign is not None
    assert sign.changed == {}


def test_many_changes_are_told_as_one(keys: KeyRules, topic: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics, "_MAX_CHANGES", 3)
    following = feed(topic)
    told(following)
    for number in range(4):
        keys.create(f"key {number}")
    changes = told(following)
    assert changes is not None
    assert changes.changed is None


@pytest.mark.parametrize("older", [False, True], ids=["another file", "an older state"])
def test_a_replaced_ledger_is_believed(home: Home, topic: Keys, older: bool) -> None:
    with open_keys(home, SQLITE) as keys:
        kept = keys.create("a")
    following = feed(topic)
    told(following)
    if older:
        with closing(open_file(home.database)) as ledger:
            ledger.execute("UPDATE meta SET value = 0 WHERE name = 'keys_version'")
    else:
        replace(home)
    changes = told(following)
    assert changes is not None
    assert changes.changed is None
    assert asked(topic, home, kept.secret) == kept.key


def test_a_ledger_that_cannot_be_read_is_no_refusal(home: Home, topic: Keys) -> None:
    with open_keys(home, SQLITE) as keys:
        created = keys.create("a")
    following = feed(topic)
    hidden = home.root / "hidden"
    hidden.mkdir()
    for path in home.root.glob("weebill.db*"):
        path.rename(hidden / path.name)
    with pytest.raises(Unanswered, match="cannot be used"):
        asked(topic, home, created.secret)
    with pytest.raises(Unanswered, match="cannot be used"):
        following.news()
    for path in hidden.iterdir():
        path.rename(home.root / path.name)
    assert asked(topic, home, created.secret) == created.key
    assert told(following) is not None


def test_a_ledger_that_another_keeps_to_itself(home: Home, topic: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_keys(home, SQLITE) as keys:
        created = keys.create("a")
    with closing(open_file(home.database)) as locker:
        locker.execute("PRAGMA locking_mode = EXCLUSIVE")
        locker.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unanswered):
            asked(topic, home, created.secret)
        locker.execute("ROLLBACK")
    assert asked(topic, home, created.secret) == created.key


def test_experiments_are_told_whole(home: Home, ledger: Database) -> None:
    known = Experiments()
    with open_experiments(home, SQLITE) as store:
        following = RunningExperiments(ledger, Positions(ledger)).feed(Raw(encode(known.position())))

        def follow() -> bool:
            news = following.news()
            if news is not None:
                known.hear(Raw(news))
            return news is not None

        assert follow()
        assert not follow()
        store.create("faster", "m", "c", 0.5, False)
        assert follow()
        assert list(known.running) == ["m"]
        store.promote("faster")
        assert follow()
        assert (known.running, known.promoted) == ({}, {"m": "c"})
        store.roll_back("faster")
        assert follow()
        assert known.promoted == {}
        replace(home)
        assert follow()


def stored(number: int) -> StoredResponse:
    previous = f"resp_{number - 1}" if number else None
    item = b'{"id":"msg_%d","type":"message"}' % number
    return StoredResponse(f"resp_{number}", b"[" + item + b"]", b'{"output":[]}', previous, number)


def test_responses_are_kept_and_found(tmp_path: Path) -> None:
    topic = Responses(open_responses(Home(tmp_path), SQLITE))

    def ask(question: object) -> object:
        return msgspec.msgpack.decode(topic.answer(Raw(encode(question))))

    chain = [stored(number) for number in range(3)]
    for each in chain:
        assert ask(Put("tenant", each)) is None
    assert ask(Get("tenant", "resp_1")) == msgspec.to_builtins(chain[1], builtin_types=(bytes,))
    assert ask(Get("another", "resp_1")) is None
    assert ask(History("tenant", "resp_2")) == msgspec.to_builtins(chain, builtin_types=(bytes,))
    assert ask(Items("tenant", ["msg_2", "msg_9"])) == {"msg_2": b'{"id":"msg_2","type":"message"}'}
    assert ask(Delete("tenant", "resp_1")) is True
    assert ask(Delete("tenant", "resp_1")) is False
    assert ask(History("tenant", "resp_2")) == []


def test_a_store_that_cannot_be_opened_is_tried_again(tmp_path: Path) -> None:
    topic = Responses(open_responses(Home(tmp_path), SQLITE))
    (tmp_path / "responses.db").mkdir()
    for _ in range(2):
        with pytest.raises(Unanswered, match="directory"):
            topic.answer(Raw(encode(Get("tenant", "resp_1"))))
    os.rmdir(tmp_path / "responses.db")
    assert topic.answer(Raw(encode(Get("tenant", "resp_1")))) == encode(None)
