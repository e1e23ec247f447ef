"""What one request does with the cache: finds, adds, keeps; alone, with a real Redis, and by meaning."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.cache.asking import APIS, SECRET, body, call
from tests.fixtures.redis import RedisServer
from tests.fixtures.upstream import DONE, chunk, completion
from weebill.cache.answers import AnswerCache, Lookup
from weebill.config.schema import CacheSettings
from weebill.shared.redis import CALL_S, Redis
from weebill.wire.errors import ApiError
from weebill.wire.reply import Usage

ON = CacheSettings(enabled=True)
SHARED = CacheSettings(enabled=True, shared=True)
SEMANTIC = CacheSettings(enabled=True, semantic=True, semantic_threshold=0.9)
USAGE = Usage.reported(12, 5, cached=3)
BODY = json.dumps(completion()).encode()
STREAM = [chunk("Hel"), chunk("lo"), chunk(finish="stop") + DONE]


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def cache(settings: CacheSettings = ON, redis: Redis | None = None, **options: Any) -> AnswerCache:
    return AnswerCache(settings, SECRET, redis, **options)


def lookup(
    kept: AnswerCache, text: str = "Hello", *, tenant: str = "t", model: str = "m", stream: bool = False,
    header: bytes | None = None, **fields: object,
) -> Lookup:  # fmt: skip
    return kept.lookup(call("chat", body("chat", text, **fields), stream=stream), APIS["chat"], model, tenant, header)


def answer(asked: Lookup, *parts: bytes) -> None:
    for part in parts or (BODY,):
        asked.add(part)
    asked.keep(USAGE, "served")


async def found(asked: Lookup) -> bytes | None:
    recording = await asked.find()
    if recording is None:
        return None
    assert (recording.usage, recording.model) == (USAGE, "served")
    return recording.data


async def test_an_answer_is_given_again() -> None:
    kept = cache()
    first = lookup(kept)
    assert await found(first) is None
    assert first.header == b"x-weebill-cache: miss\r\n"
    answer(first)
    second = lookup(kept)
    assert await found(second) == BODY
    assert second.header == b"x-weebill-cache: hit\r\n"


async def test_a_number_of_answers_that_is_left_open() -> None:
    kept = cache()
    answer(lookup(kept, n=None))
    assert await found(lookup(kept, n=None)) == BODY


async def test_a_stream_is_given_again_byte_for_byte_and_only_as_a_stream() -> None:
    kept = cache()
    answer(lookup(kept, stream=True), *STREAM)
    assert await found(lookup(kept, stream=True)) == b"".join(STREAM)
    assert await found(lookup(kept)) is None


async def test_never_to_another_tenant_nor_of_another_model() -> None:
    kept = cache(SEMANTIC, embed=lambda text: np.ones(1, np.float32))
    answer(lookup(kept))
    for other in (lookup(kept, tenant="u"), lookup(kept, model="n"), lookup(kept, "Hi", tenant="u")):
        assert await found(other) is None
    assert await found(lookup(kept, "Hi")) == BODY


@pytest.mark.parametrize(
    ("wishes", "header", "finds", "keeps"),
    [
        ({}, b"miss", True, True),
        ({"cache": False}, b"bypass", False, False),
        ({"cache": {"no_cache": True}}, b"bypass", False, True),
        ({"cache": {"no_store": True}}, b"miss", True, False),
        ({"header": b"no-cache"}, b"bypass", False, True),
        ({"header": b"no-store"}, b"miss", True, False),
        ({"tools": [{"type": "web_search"}]}, b"bypass", False, False),
    ],
)
async def test_what_the_request_wishes(wishes: dict[str, Any], header: bytes, finds: bool, keeps: bool) -> None:
    kept = cache()
    asked = lookup(kept, **wishes)
    assert asked.header == b"x-weebill-cache: %b\r\n" % header
    answer(asked)
    assert (await found(lookup(kept)) == BODY) is keeps
    kept = cache()
    answer(lookup(kept))
    again = lookup(kept, **wishes)
    assert (await found(again) == BODY) is finds
    assert again.header == b"x-weebill-cache: %b\r\n" % (b"hit" if finds else b"bypass")


async def test_a_fresh_answer_takes_the_place_of_the_old() -> None:
    kept = cache()
    answer(lookup(kept))
    fresh = json.dumps(completion("Another.")).encode()
    answer(lookup(kept, header=b"no-cache"), fresh)
    assert await found(lookup(kept)) == fresh


async def test_the_field_never_reaches_an_upstream() -> None:
    for settings in (ON, CacheSettings()):
        asked = call("chat", body("chat", cache=False))
        cache(settings).lookup(asked, APIS["chat"], "m", "t")
        assert set(asked.fields) == {"model", "messages"}
        with pytest.raises(ApiError, match=r"cache\.ttl"):
            cache(settings).lookup(call("chat", body("chat", cache={"ttl": -1})), APIS["chat"], "m", "t")


async def test_time_passes() -> None:
    clock = Clock()
    kept = cache(msgspec.structs.replace(ON, ttl_s=100.0), clock=clock)
    answer(lookup(kept, "short", cache={"ttl": 10}))
    answer(lookup(kept, "long", cache={"ttl": 1000}))
    answer(lookup(kept))
    clock.now += 9.9
    assert await found(lookup(kept, "short")) == BODY
    clock.now += 0.2
    assert await found(lookup(kept, "short")) is None
    clock.now += 89.8
    assert await found(lookup(kept)) == await found(lookup(kept, "long")) == BODY
    clock.now += 0.2
    assert await found(lookup(kept)) is await found(lookup(kept, "long")) is None
    assert len(kept.memory) == 0


BAD = [
    json.dumps(completion() | {"choices": []}).encode(),
    json.dumps({"error": {"message": "no"}}).encode(),
    BODY.replace(b'"stop"', b'"content_filter"'),
    BODY.replace(b'"stop"', b'"length"'),
    BODY.replace(b'"stop"', b"null"),
]


@pytest.mark.parametrize("data", BAD)
async def test_what_is_no_good_answer_is_not_kept(data: bytes) -> None:
    kept = cache()
    answer(lookup(kept), data)
    assert await found(lookup(kept)) is None


async def test_what_was_never_completed_is_not_kept() -> None:
    kept = cache()
    asked = lookup(kept, stream=True)
    for part in STREAM:
        asked.add(part)
    assert await found(lookup(kept, stream=True)) is None


async def test_too_much_is_not_kept_and_not_held() -> None:
    kept = cache(msgspec.structs.replace(ON, max_entry_bytes=1000))
    asked = lookup(kept, stream=True)
    for _ in range(1000):
        asked.add(chunk("more"))
    assert asked._parts == []
    answer(asked, STREAM[-1])
    assert await found(lookup(kept, stream=True)) is None


async def test_memory_is_bounded() -> None:
    kept = cache(msgspec.structs.replace(ON, max_bytes=20_000))
    for number in range(100):
        answer(lookup(kept, str(number)))
        assert kept.memory.used_bytes <= 20_000
    assert await found(lookup(kept, "99")) == BODY
    assert await found(lookup(kept, "0")) is None


async def test_settings_change_while_it_runs() -> None:
    kept = cache(CacheSettings())
    answer(lookup(kept))
    off = lookup(kept)
    assert await found(off) is None
    assert off.header == b""
    kept.update(ON)
    answer(lookup(kept))
    assert await found(lookup(kept)) == BODY
    kept.update(CacheSettings())
    assert len(kept.memory) == 0
    kept.update(ON)
    assert await found(lookup(kept)) is None


VECTORS = {"How are you?": (1.0, 0.0), "How do you do?": (0.95, 0.31), "Where are you?": (0.0, 1.0)}


def embed(text: str) -> NDArray[np.float32]:
    return np.array(VECTORS[text], np.float32)


async def test_what_means_the_same() -> None:
    clock = Clock()
    kept = cache(SEMANTIC, embed=embed, clock=clock)
    answer(lookup(kept, "How are you?"))
    near = lookup(kept, "How do you do?")
    assert await found(near) == BODY
    assert near.header == b"x-weebill-cache: semantic\r\n"
    assert await found(lookup(kept, "Where are you?")) is None
    for different in ({"temperature": 0.5}, {"stream": True}, {"tenant": "u"}, {"header": b"no-cache"}):
        assert await found(lookup(kept, "How do you do?", **different)) is None
    clock.now += SEMANTIC.ttl_s
    assert await found(lookup(kept, "How do you do?")) is None
    assert kept.semantic is not None
    assert len(kept.semantic) == 0


async def test_meaning_is_not_compared_unless_asked_for() -> None:
    for settings, how in ((ON, embed), (SEMANTIC, None)):
        kept = cache(settings, embed=how)
        answer(lookup(kept, "How are you?"))
        assert await found(lookup(kept, "How do you do?")) is None


@pytest.fixture
async def redis(redis_server: RedisServer, patient: None) -> AsyncIterator[Redis]:
    redis = Redis(redis_server.url)
    yield redis
    await redis.close()


async def written(kept: AnswerCache) -> None:
    assert kept.remote is not None
    await kept.remote.flush()


async def test_workers_share_by_redis(redis: Redis, redis_server: RedisServer) -> None:
    one, other = cache(SHARED, redis), cache(SHARED, redis)
    answer(lookup(one))
    await written(one)
    assert await found(lookup(other)) == BODY
    assert await found(lookup(other, tenant="u")) is None
    assert await found(lookup(AnswerCache(SHARED, b"another installation's", redis))) is None
    redis_server.command("FLUSHALL")
    assert await found(lookup(other)) == BODY, "it has been taken into memory"


async def test_unless_they_are_told_not_to(redis: Redis, redis_server: RedisServer) -> None:
    one = cache(ON, redis)
    answer(lookup(one))
    assert one.remote is None
    assert redis_server.command("DBSIZE") == b":0\r\n"


async def test_redis_forgets_in_time(redis: Redis) -> None:
    brief = msgspec.structs.replace(SHARED, ttl_s=0.2)
    one, other = cache(brief, redis), cache(brief, redis)
    answer(lookup(one))
    await written(one)
    await asyncio.sleep(0.3)
    assert await found(lookup(other)) is None


async def test_what_others_put_in_redis_is_not_believed(
    redis: Redis, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = cache(SHARED, redis), cache(SHARED, redis)
    answer(lookup(one))
    await written(one)
    name = redis_server.command("RANDOMKEY").split(b"\r\n")[1].decode()
    redis_server.command("APPEND", name, "x")
    assert await found(lookup(other)) is None
    assert "is not what was put there" in caplog.text


async def test_a_lost_redis_is_missed_by_nobody(
    redis: Redis, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    kept, other = cache(SHARED, redis), cache(SHARED, Redis(redis_server.url))
    answer(lookup(kept, "before"))
    await written(kept)
    redis_server.kill()
    for number in range(50):
        answer(lookup(kept, str(number)))
        await written(kept)
        assert await found(lookup(kept, str(number))) == BODY
        assert await found(lookup(kept, f"not {number}")) is None
    assert await found(lookup(kept, "before")) == BODY
    assert caplog.text.count("is lost") == 1
    redis_server.start()
    async with asyncio.timeout(60):
        while "is back" not in caplog.text:
            await asyncio.sleep(0.05)
            await found(lookup(kept, "anything"))
    answer(lookup(kept, "after"))
    await written(kept)
    assert await found(lookup(other, "after")) == BODY


async def test_a_redis_that_hangs_is_soon_left_alone(redis_server: RedisServer) -> None:
    redis = Redis(redis_server.url)
    kept = cache(SHARED, redis)
    assert await found(lookup(kept)) is None
    redis_server.suspend()
    async with asyncio.timeout(CALL_S * 2000 / 2):  # half of what it would take if each waited
        for number in range(2000):
            assert await found(lookup(kept, str(number))) is None
