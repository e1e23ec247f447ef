"""The store of responses: on disk, by several threads and processes, within its bounds."""

import multiprocessing
import sqlite3
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, func, insert, select, update

from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.opening import open_responses
from weebill.storage.responses import ResponseStore, StoreError
from weebill.storage.tables.responses import ITEMS, RESPONSES, SIZE
from weebill.wire.responses_state import StoredResponse

NOW = 1_700_000_000.0
LONG = "a" * 100_000
# Those of the releases before there was PostgreSQL.
EARLIER = """
CREATE TABLE responses (
    number INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    previous_id TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    input BLOB NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX responses_by_expiry ON responses (expires_at, number);
CREATE TABLE items (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    response INTEGER NOT NULL REFERENCES responses (number) ON DELETE CASCADE,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX items_by_response ON items (response);
CREATE TABLE size (bytes INTEGER NOT NULL) STRICT;
INSERT INTO size (bytes) VALUES (0);
CREATE TRIGGER response_added AFTER INSERT ON responses
    BEGIN UPDATE size SET bytes = bytes + new.bytes; END;
CREATE TRIGGER response_removed AFTER DELETE ON responses
    BEGIN UPDATE size SET bytes = bytes - old.bytes; END;
PRAGMA user_version = 1;
"""


def response(name: str, previous: str | None = None, padding: int = 0) -> StoredResponse:
    given = [{"type": "message", "id": f"msg_{name}", "role": "user", "content": "x" * padding}]
    body = {"id": f"resp_{name}", "output": [{"type": "function_call", "id": f"fc_{name}"}]}
    before = None if previous is None else f"resp_{previous}"
    return StoredResponse(f"resp_{name}", msgspec.json.encode(given), msgspec.json.encode(body), before, int(NOW))


Opened = Callable[..., ResponseStore]


@pytest.fixture
def opened(home: Home, database_settings: DatabaseSettings) -> Iterator[Opened]:
    """Opens the store, as each process does for itself."""
    databases = []

    def make(patience_s: float = 10.0, **bounds: int) -> ResponseStore:
        databases.append(open_responses(home, database_settings, patience_s=patience_s))
        return ResponseStore(databases[-1], **bounds)

    yield make
    for database in databases:
        database.close()


@pytest.fixture
def store(opened: Opened) -> ResponseStore:
    return opened()


def names(found: list[StoredResponse]) -> list[str]:
    return [each.id.removeprefix("resp_") for each in found]


def test_what_is_put_is_got(store: ResponseStore, opened: Opened) -> None:
    store.put("t", response("a"))
    assert store.get("t", "resp_a") == response("a")
    assert store.get("t", "resp_b") is None
    assert opened().get("t", "resp_a") == response("a")


@pytest.mark.parametrize("database_settings", [DatabaseSettings()], ids=["sqlite"])
def test_nobody_else_may_read_it(store: ResponseStore, home: Home) -> None:
    store.put("t", response("a"))
    files = list(home.root.glob(f"{home.responses.name}*"))
    assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}


def test_tenants_see_their_own(store: ResponseStore) -> None:
    store.put("t", response("a"))
    store.put("u", response("a", padding=3))
    assert store.get("u", "resp_a") == response("a", padding=3)
    assert not store.delete("v", "resp_a")
    assert store.delete("u", "resp_a")
    assert store.get("t", "resp_a") == response("a")
    assert store.items("u", ["msg_a"]) == {}
    assert store.history("u", "resp_a") == []


def test_an_id_may_come_again(store: ResponseStore) -> None:
    store.put("t", response("a", padding=3))
    store.put("t", response("a"))
    assert store.get("t", "resp_a") == response("a")
    assert used(store) == size(response("a"))


def test_any_id_is_data(store: ResponseStore) -> None:
    for name in ("'; DROP TABLE responses; --", "", "\x00", "é", LONG, "\U0001f600" * 150):
        assert store.get(name, f"resp_{name}") is None
        assert store.items(name, [f"msg_{name}"]) == {}
        assert not store.delete(name, f"resp_{name}")
        for _ in range(2):
            store.put(name, response(name))
        store.put(name, response("next", name))
        assert store.get(name, f"resp_{name}") == response(name)
        assert [each.body for each in store.history(name, "resp_next")] == [response(name).body, response("next").body]
        assert store.items(name, [f"msg_{name}", f"fc_{name}", "fc_other"]).keys() == {f"msg_{name}", f"fc_{name}"}
        assert store.delete(name, f"resp_{name}")
        assert store.history(name, "resp_next") == []


def test_any_time_is_data(store: ResponseStore) -> None:
    store.put("t", msgspec.structs.replace(response("a"), created_at=10**30))
    found = store.get("t", "resp_a")
    assert found is not None
    assert found.created_at == 2**63 - 1


def test_a_history_goes_back_to_its_beginning(store: ResponseStore) -> None:
    for name, before in ("a", None), ("b", "a"), ("c", "b"), ("other", "a"):
        store.put("t", response(name, before))
    assert names(store.history("t", "resp_c")) == ["a", "b", "c"]
    assert names(store.history("t", "resp_a")) == ["a"]
    assert store.history("t", "resp_c")[1] == response("b", "a")
    assert store.history("t", "resp_x") == []


def test_a_history_with_a_gap_is_none(store: ResponseStore) -> None:
    for name, before in ("a", None), ("b", "a"), ("c", "b"):
        store.put("t", response(name, before))
    store.delete("t", "resp_a")
    assert store.history("t", "resp_c") == []
    assert store.get("t", "resp_c") is not None


def test_a_ring_does_no_harm(store: ResponseStore) -> None:
    store.put("t", response("a", "b"))
    store.put("t", response("b", "a"))
    assert store.history("t", "resp_b") == []


def test_items_by_id(store: ResponseStore) -> None:
    store.put("t", response("a"))
    store.put("t", response("b"))
    found = store.items("t", ["msg_a", "fc_a", "fc_b", "fc_x"])
    assert {name: msgspec.json.decode(item)["id"] for name, item in found.items()} == {
        name: name for name in ("msg_a", "fc_a", "fc_b")
    }
    store.delete("t", "resp_a")
    assert list(store.items("t", ["msg_a", "fc_b"])) == ["fc_b"]


def test_what_is_old_is_gone(opened: Opened) -> None:
    store = opened(retention_s=100)
    store.put("t", response("a"), NOW)
    store.put("t", response("b"), NOW + 50)
    assert store.get("t", "resp_a", NOW + 99) is not None
    assert store.get("t", "resp_a", NOW + 100) is None
    assert store.history("t", "resp_a", NOW + 100) == []
    assert store.items("t", ["msg_a"], NOW + 100) == {}
    assert store.prune(NOW + 100) == 1
    assert used(store) == size(response("b"))
    # Without being asked, too.
    store.put("t", response("c"), NOW + 500)
    assert used(store) == size(response("c"))


def test_what_goes_on_keeps_its_beginning(opened: Opened) -> None:
    store = opened(retention_s=100)
    store.put("t", response("a"), NOW)
    store.put("t", response("aside"), NOW)
    store.put("t", response("b", "a"), NOW + 60)
    store.put("t", response("c", "b"), NOW + 120)
    assert names(store.history("t", "resp_c", NOW + 210)) == ["a", "b", "c"]
    assert store.get("t", "resp_aside", NOW + 100) is None


def size(*stored: StoredResponse) -> int:
    return sum(len(each.input) + len(each.body) for each in stored)


def used(store: ResponseStore) -> int:
    counted = func.coalesce(func.sum(RESPONSES.c.bytes), 0)
    total, found = store._read(
        lambda connection: (connection.scalar(select(SIZE.c.bytes)), connection.scalar(select(counted)))
    )
    assert total == found
    assert total is not None
    return total


def test_it_takes_no_more_than_it_may(opened: Opened) -> None:
    bound = 4 * size(response("a", padding=1000))
    store = opened(max_bytes=bound)
    for at in range(10):
        store.put("t", response(chr(ord("a") + at), padding=1000), NOW + at)
        assert used(store) <= bound
    assert [name for name in "abcdefghij" if store.get("t", f"resp_{name}", NOW)] == ["g", "h", "i", "j"]
    with pytest.raises(StoreError, match="more than the store may hold"):
        store.put("t", response("z", padding=bound), NOW)
    assert store.get("t", "resp_j", NOW) is not None


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        ResponseStore(open_responses(Home(tmp_path / "nowhere"), DatabaseSettings()))
    with sqlite3.connect(tmp_path / "responses.db") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer Weebill"):
        ResponseStore(open_responses(Home(tmp_path), DatabaseSettings()))
    with (
        open_responses(Home(tmp_path), DatabaseSettings(url="postgresql://127.0.0.1:1/")) as database,
        pytest.raises(StoreError, match="see that PostgreSQL is running"),
    ):
        ResponseStore(database)


def test_what_is_no_response(store: ResponseStore) -> None:
    with pytest.raises(StoreError):
        store.put("t", StoredResponse("resp_a", b"[", b"{}"))
    assert store.get("t", "resp_a") is None


def test_a_store_that_is_busy_for_too_long(opened: Opened) -> None:
    store = opened(patience_s=0.5)

    def meanwhile(connection: Connection) -> None:
        connection.execute(select(SIZE.c.bytes).with_for_update())
        with pytest.raises(StoreError, match=r"locked|timeout"):
            store.put("t", response("a"))

    opened()._change(meanwhile)
    store.put("t", response("a"))
    assert store.get("t", "resp_a") is not None


def test_several_threads(store: ResponseStore) -> None:
    def work(worker: int) -> None:
        for at in range(20):
            store.put("t", response(f"{worker}-{at}", f"{worker}-{at - 1}" if at else None))
            assert len(store.history("t", f"resp_{worker}-{at}")) == at + 1

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert used(store) == sum(size(response(f"{worker}-{at}")) for worker in range(4) for at in range(20))


def put_many(home: Home, settings: DatabaseSettings, worker: int) -> None:
    with open_responses(home, settings) as database:
        store = ResponseStore(database)
        for at in range(25):
            store.put("t", response(f"{worker}-{at}", f"{worker}-{at - 1}" if at else None))
            store.put("t", response("same", padding=worker))
            store.delete("t", "resp_same")


def test_several_processes_open_and_write_it_at_once(
    home: Home, database_settings: DatabaseSettings, opened: Opened
) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=put_many, args=(home, database_settings, worker)) for worker in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    store = opened()
    for worker in range(4):
        assert len(store.history("t", f"resp_{worker}-24")) == 25
    assert used(store) == sum(size(response(f"{worker}-{at}")) for worker in range(4) for at in range(25))


def add_many(store: ResponseStore, count: int) -> None:
    """Add small ones, each of which is kept a second longer."""
    small = response("0")
    rows = [
        {
            "tenant": "t", "id": f"resp_{at}", "created_at": 0, "expires_at": int(NOW) + at, "bytes": size(small),
            "input": small.input, "body": small.body,
        }
        for at in range(count)
    ]  # fmt: skip
    store._change(lambda connection: connection.execute(insert(RESPONSES), rows))
    store._change(lambda connection: connection.execute(update(SIZE).values(bytes=size(small) * count)))


def test_a_long_one_takes_the_room_of_many(opened: Opened) -> None:
    small = size(response("0"))
    store = opened(max_bytes=small * 1200)
    add_many(store, 1200)
    store.put("t", response("long", padding=100_000), NOW)
    assert small * 1199 < used(store) <= small * 1200
    assert store.get("t", "resp_1199", NOW) is not None


def test_many_are_pruned_in_parts(store: ResponseStore) -> None:
    add_many(store, 700)
    assert [store.prune(NOW + 650) for _ in range(3)] == [500, 151, 0]
    assert used(store) == 49 * size(response("0"))


def test_items_go_with_their_response(store: ResponseStore) -> None:
    store.put("t", response("a"))
    store.delete("t", "resp_a")
    assert store._read(lambda connection: connection.scalar(select(func.count()).select_from(ITEMS))) == 0


@pytest.mark.parametrize("database_settings", [DatabaseSettings()], ids=["sqlite"])
def test_a_file_of_an_earlier_release_is_taken_over(home: Home, opened: Opened) -> None:
    earlier = sqlite3.connect(home.responses)
    earlier.executescript(EARLIER)
    kept = [response("a"), response(LONG, "a", padding=50), response("c", LONG), response("\0")]
    for number, each in enumerate(kept, 1):
        row = (number, "t", each.id, each.previous_id, each.created_at, int(NOW) + 9, size(each), each.input, each.body)
        earlier.execute("INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        for kind in ("msg", "fc"):
            earlier.execute("INSERT INTO items VALUES ('t', ?, ?)", (each.id.replace("resp", kind, 1), number))
    earlier.commit()
    earlier.close()
    for _ in range(2):
        store = opened()
        assert store.get("t", f"resp_{LONG}", NOW) is not None
        assert [each.body for each in store.history("t", "resp_c", NOW)] == [each.body for each in kept[:3]]
        assert len(store.items("t", [f"msg_{LONG}", "fc_c", "msg_\0"], NOW)) == 3
        assert used(store) == size(*kept)
    assert store.delete("t", f"resp_{LONG}")
    assert store.items("t", [f"msg_{LONG}"], NOW) == {}
    assert used(store) == size(kept[0], *kept[2:])
