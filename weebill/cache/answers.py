"""The cache of one worker: memory, then Redis, then semantic search; and its use by one request.

1. The request becomes a `Question`, or none if its answer must not be repeated (`question`).
2. `Lookup.find` asks memory, then Redis, then the semantic index.
3. On a miss, `Lookup.add` collects the bytes that are sent to the client.
4. At the end, `Lookup.keep` stores them if the answer is complete (`ending`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from msgspec import Raw

from weebill.cache.completeness import worth_keeping
from weebill.cache.control import Control, take_control
from weebill.cache.memory import Memory
from weebill.cache.question import Endpoint, Question, choices, limits_length, question
from weebill.cache.recording import Recording
from weebill.cache.remote import RemoteRecordings
from weebill.cache.semantic import SemanticIndex
from weebill.config.schema import CacheSettings
from weebill.shared.redis import Redis
from weebill.wire.call import Call
from weebill.wire.reply import Usage

if TYPE_CHECKING:
    from weebill.cache.semantic import Embed, Vector

UPSTREAM: Final = "cache"
"""The upstream in the usage record of a hit; no provider may have this name."""
_HIT, _MISS, _SEMANTIC, BYPASS = (
    b"x-weebill-cache: %b\r\n" % outcome for outcome in (b"hit", b"miss", b"semantic", b"bypass")
)


class AnswerCache:
    """Answers by question.

    `secret` keys all hashes (the installation's pepper). With `redis`, recordings are kept there too if the settings
    say so. `embed` makes the vectors for semantic search, if the settings ask for that.
    """

    def __init__(
        self,
        settings: CacheSettings,
        secret: bytes,
        redis: Redis | None = None,
        embed: Embed | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.clock = clock
        self._secret = secret
        self._redis = redis
        self._embed = embed
        self.memory = Memory(settings.max_bytes, self._gone)
        self.remote: RemoteRecordings | None = None
        self.semantic: SemanticIndex | None = None
        self.update(settings)

    def update(self, settings: CacheSettings) -> None:
        """Applies reloaded settings; recordings are kept, unless the cache is off now."""
        self.settings = settings
        self.memory.resize(settings.max_bytes if settings.enabled else 0)
        shared = settings.enabled and settings.shared and self._redis is not None
        self.remote = RemoteRecordings(self._redis, self._secret) if shared and self._redis is not None else None
        if self._embed is None or not (settings.enabled and settings.semantic):
            self.semantic = None
        elif self.semantic is None:
            self.semantic = SemanticIndex(self._embed, settings.semantic_threshold)
        else:
            self.semantic.threshold = settings.semantic_threshold

    def lookup(
        self,
        call: Call,
        endpoint: Endpoint,
        model: str,
        tenant: str,
        cache_control: bytes | None = None,
        preferences: Raw | None = None,
    ) -> Lookup:
        """Returns the look-up of a request, and removes its field `cache`. Raises ApiError 400 if that field is
        invalid.

        `model` is the name under which the answer is shared: the resolved name, or a virtual model's own. `tenant` is
        the id of the API key, `cache_control` the header's value, `preferences` the JSON that limits which deployments
        may answer.
        """
        control = take_control(call.fields, cache_control)
        if not self.settings.enabled or not (control.find or control.keep):
            return Lookup(self, call, endpoint.name, control, None)
        asked = question(call, endpoint, model, tenant, self._secret, preferences)
        return Lookup(self, call, endpoint.name, control, asked)

    def _gone(self, key: bytes) -> None:
        if self.semantic is not None:
            self.semantic.remove(key)


class Lookup:
    """The use of the cache by one request: `find` an answer, else `add` its bytes as they are sent, and `keep` them at
    the end.
    """

    __slots__ = ("_cache", "_call", "_control", "_endpoint", "_parts", "_question", "_room", "_vector", "header")

    def __init__(self, cache: AnswerCache, call: Call, endpoint: str, control: Control, asked: Question | None) -> None:
        self._cache = cache
        self._call = call
        self._endpoint = endpoint
        self._control = control
        self._question = asked
        self._vector: Vector | None = None
        self._parts: list[bytes] = []
        self._room = cache.settings.max_entry_bytes if asked is not None and control.keep else 0
        self.header = b""
        """The header line for the answer, ended by CRLF; b"" without a cache."""
        if cache.settings.enabled:
            self.header = _MISS if asked is not None and control.find else BYPASS

    async def find(self) -> Recording | None:
        """Returns an earlier answer; None if there is none, or the request wants a new one."""
        asked, cache = self._question, self._cache
        if asked is None or not self._control.find:
            return None
        now = cache.clock()
        found = cache.memory.get(asked.key, now)
        if found is None and cache.remote is not None:
            found = await cache.remote.get(asked.key)
            if found is not None:
                if found.expires_at <= now:
                    found = None
                else:
                    cache.memory.put(asked.key, found)
        if found is not None:
            self.header = _HIT
            return found
        if cache.semantic is None or not asked.rest:
            return None
        self._vector = cache.semantic.embed(asked.said)
        near = cache.semantic.find(asked.rest, asked.said, self._vector)
        found = None if near is None else cache.memory.get(near, now)
        if found is not None:
            self.header = _SEMANTIC
        return found

    def add(self, data: bytes) -> None:
        """Adds bytes that are sent to the client: a body, or the next part of a stream."""
        if self._room:
            self._room -= len(data)
            if self._room > 0:
                self._parts.append(data)
            else:
                self._room = 0
                self._parts.clear()

    def keep(self, usage: Usage, model: str) -> None:
        """Stores the bytes that were added, if the complete answer is worth it. `model` is the one that gave it."""
        asked, cache = self._question, self._cache
        if asked is None or not self._room or not self._parts:
            return
        data = b"".join(self._parts)
        fields = self._call.fields
        if not worth_keeping(
            self._endpoint,
            data,
            streamed=self._call.stream,
            limited=limits_length(fields),
            choices=choices(fields),
        ):
            return
        ttl_s = min(cache.settings.ttl_s, self._control.ttl_s or cache.settings.ttl_s)
        recording = Recording(data, usage, model, cache.clock() + ttl_s)
        if not cache.memory.put(asked.key, recording):
            return
        if cache.remote is not None:
            cache.remote.put(asked.key, recording, ttl_s)
        if cache.semantic is not None and asked.rest:
            vector = cache.semantic.embed(asked.said) if self._vector is None else self._vector
            cache.semantic.add(asked.rest, asked.said, asked.key, vector)
