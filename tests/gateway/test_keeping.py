"""How long a local model is kept, by what its requests say."""

from __future__ import annotations

import asyncio
from math import inf
from random import Random

import pytest

from weebill.config.schema import Settings
from weebill.gateway.keeping import Keeping
from weebill.gateway.warming import Warming
from weebill.process.messages import InUse
from weebill.routing.directory import Directory
from weebill.routing.router import Router


def test_the_longest_of_all_keys_counts_and_the_last_word_of_each() -> None:
    keeping = Keeping()
    keeping.keep("mini", "one", 60.0, 0.0)
    keeping.keep("mini", "two", inf, 0.0)
    assert keeping.left("mini", 10.0) == inf
    keeping.keep("mini", "two", 0.0, 10.0)
    assert keeping.left("mini", 20.0) == 40.0
    assert keeping.left("other", 20.0) == 0.0


def test_what_a_key_wants_counts_from_the_end_of_a_request_that_took_longer() -> None:
    keeping = Keeping()
    keeping.keep("mini", "key", 60.0, 0.0)
    assert keeping.left("mini", 100.0) == 0.0
    keeping.rest("mini", "key", 100.0)
    assert keeping.left("mini", 110.0) == 50.0


def test_what_is_over_is_forgotten_for_a_model_that_is_not_in_use() -> None:
    keeping = Keeping()
    keeping.keep("mini", "key", 60.0, 0.0)
    keeping.forget("mini", 60.0)
    keeping.rest("mini", "key", 60.0)
    assert keeping.left("mini", 60.0) == 60.0
    keeping.forget("mini", 121.0)
    keeping.rest("mini", "key", 121.0)
    assert keeping.left("mini", 121.0) == 0.0
    assert "mini" in keeping


async def test_a_request_that_takes_longer_than_its_model_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, now, told = Settings(), 1000.0, []
    warming = Warming(Router(settings.routing, Directory(settings, (), 0), Random(1)))
    warming.follow(told.append)
    with monkeypatch.context() as patched:
        patched.setattr(asyncio.get_running_loop(), "time", lambda: now)
        warming.begin("mini")
        warming.keep("mini", "key", 60.0)
        for _ in range(3):
            now += 40.0
            warming.tell()
        warming.end("mini")
        warming.rest("mini", "key")
        warming.tell()
        warming.tell()
    assert [message.keep_s for message in told if isinstance(message, InUse)] == [(20.0,), (0.0,), (0.0,), (60.0,)]
