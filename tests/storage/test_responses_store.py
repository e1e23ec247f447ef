"""The store of responses: on disk, by several threads and processes, within its bounds."""

import multiprocessing
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from weebill.storage import disposable
from weebill.storage.responses import ResponseStore, StoreError
from weebill.wire.responses_state import StoredResponse

NOW = 1_700_000_000.0


def response(name: str, previous: str | None = None, padding: int = 0) -> StoredResponse:
    given = [{"type": "message", "id": f"msg_{name}", "role": "user", "content": "x" * padding}]
    body = {"id": f"resp_{name}", "output": [{"type": "function_call", "id": f"fc_{name}"}]}
    before = previous and f"resp_{previous}"
    return StoredResponse(f"resp_{name}", msgspec.json.encode(given), msgspec.json.encode(body), before, int(NOW))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "responses.db"


@pytest.fixture
def store(path: Path) -> ResponseStore:
    return ResponseStore(path)


def names(found: list[StoredResponse]) -> list[str]:
    return [each.id.removeprefix("resp_") for each in found]


def test_what_is_put_is_got(store: ResponseStore, path: Path) -> None:
    store.put("t", response("a"))
    assert store.get("t", "resp_a") == response("a")
    assert store.get("t", "resp_b") is None
    store.close()
    assert ResponseStore(path).get("t", "resp_a") == response("a")


def test_nobody_else_may_read_it(store: ResponseStore, path: Path) -> None:
    store.put("t", response("a"))
    modes = {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()}
    assert modes == {0o600}


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


@pytest.mark.parametrize("name", ["'; DROP TABLE responses; --", "", "\x00", "é"])
def test_any_id_is_data(store: ResponseStore, name: str) -> None:
    store.put(name, response(name))
    assert store.get(name, f"resp_{name}") == response(name)
    assert list(store.items(name, [f"msg_{name}"])) == [f"msg_{name}"]


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


def test_what_is_old_is_gone(path: Path) -> None:
    store = ResponseStore(path, retention_s=100)
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


def test_what_goes_on_keeps_its_beginning(path: Path) -> None:
    store = ResponseStore(path, retention_s=100)
    store.put("t", response("a"), NOW)
    store.put("t", response("aside"), NOW)
    store.put("t", response("b", "a"), NOW + 60)
    store.put("t", response("c", "b"), NOW + 120)
    assert names(store.history("t", "resp_c", NOW + 210)) == ["a", "b", "c"]
    assert store.get("t", "resp_aside", NOW + 100) is None


def size(*stored: StoredResponse) -> int:
    return sum(len(each.input) + len(each.body) for each in stored)


def used(store: ResponseStore) -> int:
    [(total,)] = store._connection.execute("SELECT bytes FROM size").fetchall()
    [(counted,)] = store._connection.execute("SELECT coalesce(sum(bytes), 0) FROM responses").fetchall()
    assert total == counted
    return int(total)


def test_it_takes_no_more_than_it_may(path: Path) -> None:
    bound = 4 * size(response("a", padding=1000))
    store = ResponseStore(path, max_bytes=bound)
    for at in range(10):
        store.put("t", response(chr(ord("a") + at), padding=1000), NOW + at)
        assert used(store) <= bound
    assert [name for name in "abcdefghij" if store.get("t", f"resp_{name}", NOW)] == ["g", "h", "i", "j"]
    with pytest.raises(StoreError, match="more than the store may hold"):
        store.put("t", response("z", padding=bound), NOW)
    assert store.get("t", "resp_j", NOW) is not None


def test_what_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nowhere"):
        ResponseStore(tmp_path / "nowhere" / "responses.db")
    newer = tmp_path / "newer.db"
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="newer Weebill"):
        ResponseStore(newer)


def test_what_is_no_response(store: ResponseStore) -> None:
    with pytest.raises(StoreError):
        store.put("t", StoredResponse("resp_a", b"[", b"{}"))
    assert store.get("t", "resp_a") is None


def test_after_it_is_closed(store: ResponseStore) -> None:
    store.close()
    for use in (
        lambda: store.put("t", response("a")), lambda: store.get("t", "a"), lambda: store.history("t", "a"),
        lambda: store.items("t", ["a"]), lambda: store.delete("t", "a"), store.prune,
    ):  # fmt: skip
        with pytest.raises(StoreError):
            use()


def test_a_file_that_is_busy_for_too_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disposable, "BUSY_TIMEOUT_S", 0.05)
    store = ResponseStore(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        store.put("t", response("a"))
    other.execute("ROLLBACK")
    other.close()
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


def put_many(path: str, worker: int) -> None:
    store = ResponseStore(Path(path))
    for at in range(25):
        store.put("t", response(f"{worker}-{at}", f"{worker}-{at - 1}" if at else None))
    store.close()


def test_several_processes_open_and_write_it_at_once(path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=put_many, args=(str(path), worker)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    store = ResponseStore(path)
    for worker in range(4):
        assert len(store.history("t", f"resp_{worker}-24")) == 25
