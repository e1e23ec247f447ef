"""The pool of local models: loaded for those who wait, within the memory that there is, and unloaded for each other."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.supervisor.fake_installation import Installation, wait_for
from weebill.supervisor import pooled_model
from weebill.supervisor.commands import LoadRequest, OfferRequest


@pytest.fixture
def pool(installation: Installation, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """Room for two models of a hundred MiB."""
    monkeypatch.setenv("MEMORY_MB", "250")
    installation.offer("one", "two", "three")
    return installation


def say(installation: Installation, what: str, *models: str) -> None:
    path = installation.home.root / what
    draft = path.with_suffix(".draft")
    draft.write_text(" ".join(models))
    os.replace(draft, path)


def test_a_model_is_loaded_for_those_who_want_it(pool: Installation) -> None:
    pool.start()
    assert {each.name: each.state for each in pool.status().models} == {"one": "cold", "two": "cold", "three": "cold"}
    assert sorted(pool.get()["cold"]) == ["one", "three", "two"]
    say(pool, "wanted", "two")
    found = pool.until("two", "ready")
    assert (found.context, found.stays, found.need) == (8192, False, 100 << 20)
    wait_for(lambda: "two" not in (told := pool.get())["cold"] and told["up"]["two"], "the worker to be told")
    assert pool.model("one").state == "cold"


def test_what_was_idle_longest_makes_room(pool: Installation) -> None:
    pool.start()
    say(pool, "wanted", "one")
    pool.until("one", "ready")
    say(pool, "used", "one")
    say(pool, "wanted", "two")
    pool.until("two", "ready")
    say(pool, "wanted", "three")
    pool.until("three", "ready")
    # The first one was in use all the time.
    assert (pool.model("one").state, pool.model("two").state) == ("ready", "cold")
    wait_for(lambda: any(each["name"] == "engine two" for each in pool.events("drain")), "the second one to be drained")


def test_what_is_in_use_is_not_taken_from_anybody(pool: Installation) -> None:
    pool.start()
    say(pool, "used", "one", "two")
    say(pool, "wanted", "one", "two")
    pool.until("one", "ready")
    pool.until("two", "ready")
    say(pool, "wanted", "three")
    for _ in range(20):
        assert pool.model("three").state in ("cold", "loading")
        assert not [each for each in pool.events("boot") if each["name"] == "engine three"]
    say(pool, "used", "one")
    pool.until("three", "ready")
    assert (pool.model("one").state, pool.model("two").state) == ("ready", "cold")


def test_a_model_that_stays_is_never_ended_for_another(pool: Installation) -> None:
    pool.start("kept")
    assert (pool.model("kept").state, pool.model("kept").stays) == ("ready", True)
    say(pool, "wanted", "one")
    pool.until("one", "ready")
    assert pool.model("kept").state == "ready"
    assert not pool.ask(LoadRequest(model="nobody", unload=True)).needs_restart


def test_what_nobody_uses_is_unloaded(pool: Installation) -> None:
    pool.configure("[local]\nkeep_alive_s = 0.5\n")
    pool.start()
    say(pool, "wanted", "one")
    pool.until("one", "ready")
    say(pool, "wanted")
    pool.until("one", "cold")
    # How long it is kept may change while it runs.
    pool.configure("[local]\nkeep_alive_s = 500\n")
    assert pool.reload().needs_restart == ()
    pool.ask(LoadRequest(model="one"))
    pool.until("one", "ready")


def test_what_a_worker_keeps_is_kept_no_longer_once_it_is_dead(pool: Installation) -> None:
    pool.start()
    pool.ask(LoadRequest(model="one"))
    pool.until("one", "ready")
    say(pool, "kept", "one")
    wait_for(lambda: pool.model("one").kept_s is None, "it to be kept without end")
    say(pool, "kept")
    os.kill(pool.child("worker-0").pid, signal.SIGKILL)
    wait_for(lambda: pool.model("one").kept_s is not None, "the worker to be forgotten")


def test_it_can_be_loaded_and_unloaded_by_hand(pool: Installation) -> None:
    pool.start()
    pool.ask(LoadRequest(model="one"))
    pool.until("one", "ready")
    pool.ask(LoadRequest(model="one", unload=True))
    pool.until("one", "cold")


def test_a_model_that_does_not_fit_is_down_with_the_reason(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMORY_MB", "50")
    installation.offer("one")
    installation.start()
    say(installation, "wanted", "one")
    found = installation.until("one", "down")
    assert "one needs 100 MiB for a context of 2,048 tokens, and [local] memory_mb leaves 50 for it" in found.failure
    assert "one" not in wait_for(lambda: (told := installation.get()) and told, "an answer")["cold"]


def test_a_model_that_cannot_be_loaded_is_down_and_not_tried_all_the_time(pool: Installation) -> None:
    pool.behave("engine one", "failed")
    pool.start()
    say(pool, "wanted", "one", "two")
    began = time.monotonic()
    found = pool.until("one", "down")
    assert found.failure == "the model file is damaged; run `weebill pull`"
    wait_for(lambda: "engine one" not in {each.name for each in pool.status().processes}, "its host to be ended")
    boots = len(boots_of(pool, "one"))
    pool.until("two", "ready")
    again = len(boots_of(pool, "one"))
    # The worker goes on asking for it, so that only a machine which stood still for the wait may have tried again.
    assert again == boots or time.monotonic() - began >= pooled_model.FIRST_RETRY_S


def test_models_come_and_go(pool: Installation) -> None:
    pool.start()
    say(pool, "wanted", "one")
    pool.until("one", "ready")
    say(pool, "wanted")
    pool.offer("two", "four")
    pool.ask(OfferRequest())
    wait_for(lambda: {each.name for each in pool.status().models} == {"two", "four"}, "the first to be gone")
    say(pool, "wanted", "four")
    pool.until("four", "ready")


def test_other_models_are_said_to_be_there_when_the_workers_know_them(pool: Installation) -> None:
    pool.start()
    worker = pool.child("worker-0")
    os.kill(worker.pid, signal.SIGSTOP)
    pool.offer("four")
    with ThreadPoolExecutor(1) as asking:
        answer = asking.submit(pool.ask, OfferRequest())
        with pytest.raises(TimeoutError):
            answer.result(0.5)
        os.kill(worker.pid, signal.SIGCONT)
        answer.result(60)
    assert list(pool.get()["cold"]) == ["four"]


def test_what_was_removed_is_gone_at_once_though_its_host_ends_its_answers(pool: Installation) -> None:
    pool.behave("engine one", "slow-drain")
    pool.start()
    say(pool, "wanted", "one")
    pool.until("one", "ready")
    pool.offer("two")
    pool.ask(OfferRequest())
    wait_for(lambda: "one" not in pool.get()["up"], "the worker to be told")
    assert pool.child("engine one").state == "draining"


def test_a_model_that_stays_is_loaded_from_its_new_file_when_its_host_dies(pool: Installation) -> None:
    """A file of another name, in whose favour the old one is gone."""
    pool.offer("kept.first")
    pool.start("kept")
    pool.offer("kept.second")
    pool.ask(OfferRequest())
    os.kill(pool.model("kept").pid, signal.SIGKILL)
    files = wait_for(lambda: len(found := boots_of(pool, "kept")) > 1 and found, "another life")
    assert files == [str(pool.home.root / "offered" / each) for each in ("kept.first", "kept.second")]


def boots_of(pool: Installation, model: str) -> list[str]:
    """The files of all lives of its hosts."""
    return [each["file"] for each in pool.events("boot") if each["name"] == f"engine {model}"]
