"""Waits for local models that are cold: the supervisor loads them for the requests that wait.

1. The first request that waits for a model has the supervisor told (`Wanted`); it is told again every second.
2. When the supervisor says that the model is loaded, all that wait go on; when it is down, all are refused.
3. The models in use are told as well (`InUse`), so that none is unloaded under a request.
4. A request whose host turns out to be dead waits for that news, and then like any other.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from math import inf
from typing import Final

from weebill.gateway.failures import model_unavailable
from weebill.gateway.keeping import Keeping
from weebill.process.messages import EngineState, FromChild, InUse, Kept, Wanted
from weebill.routing.deployments import LOCAL, Upstream
from weebill.routing.router import Router
from weebill.transport.errors import cancelled_unsent
from weebill.transport.origin import Origin

# Times that `tell` is called between two repetitions of what is wanted.
_REPEATED: Final = 2
# The supervisor notices a death within a fraction of a second.
_NEWS_S: Final = 3.0


class Warming:
    """The local models of one worker, cold and in use. Belongs to one loop."""

    def __init__(self, router: Router) -> None:
        self._router = router
        self._send: Callable[[FromChild], None] = _drop
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._count: Counter[str] = Counter()
        self._in_use: Counter[str] = Counter()
        self._used: set[str] = set()
        self._keeping = Keeping()
        # By host, the time until which other workers keep it.
        self._elsewhere: dict[str, float] = {}
        self._told = 0
        self._heard = asyncio.Event()
        # By model, the address of a host that broke off an answer: most likely it is dead.
        self._lost: dict[str, Origin] = {}

    def follow(self, send: Callable[[FromChild], None]) -> None:
        """Tells the supervisor by `send` from now on."""
        self._send = send

    def hear(self, engines: Iterable[EngineState]) -> None:
        """Lets those go on whose model is not cold any more, once the router knows of it."""
        cold = {each.model for each in engines if each.cold}
        for model in [each for each in self._waiting if each not in cold]:
            self._waiting.pop(model).set_result(None)
        self._heard.set()
        self._heard.clear()

    def hear_kept(self, kept: Kept) -> None:
        """Takes over how long other workers keep the hosts."""
        now = asyncio.get_running_loop().time()
        left = zip(kept.hosts, kept.keep_s, strict=True)
        self._elsewhere = {host: inf if seconds < 0 else now + seconds for host, seconds in left}

    def tell(self) -> None:
        """Tells the supervisor what is in use and what is wanted; to be called twice a second."""
        self._told += 1
        if used := sorted(self._used.union(self._in_use)):
            now = asyncio.get_running_loop().time()
            for model in self._used.difference(self._in_use):
                self._keeping.forget(model, now)
            left = [self._keeping.left(model, now) for model in used]
            self._send(InUse(models=tuple(used), keep_s=tuple([-1.0 if each == inf else each for each in left])))
        self._used.clear()
        if self._told % _REPEATED == 0:
            for model in self._waiting:
                self._send(Wanted(model=model))

    def begin(self, model: str) -> None:
        """Notes that a request uses the model, until `end`."""
        self._in_use[model] += 1
        self._used.add(model)

    def end(self, model: str) -> None:
        """Notes that a request uses the model no longer."""
        self._in_use[model] -= 1
        if not self._in_use[model]:
            del self._in_use[model]

    def keep(self, model: str, key: str, seconds: float) -> None:
        """Notes how long an API key wants the model to be kept after its requests."""
        self._used.add(model)
        self._keeping.keep(model, key, seconds, asyncio.get_running_loop().time())

    def rest(self, model: str, key: str) -> None:
        """Notes that a request of a key has ended, from which time on that counts."""
        self._used.add(model)
        self._keeping.rest(model, key, asyncio.get_running_loop().time())

    def left(self, model: str) -> float | None:
        """Returns the seconds for which the model is still to be kept, as far as this worker knows; None if unknown."""
        return self._keeping.left(model, asyncio.get_running_loop().time()) if model in self._keeping else None

    def left_elsewhere(self, host: str) -> float | None:
        """Returns the seconds for which other workers keep a host; None if they do not."""
        until = self._elsewhere.get(host)
        return None if until is None else max(0.0, until - asyncio.get_running_loop().time())

    def waiting(self, model: str) -> int:
        """Returns how many requests wait until the model is loaded."""
        return self._count[model]

    async def warm(self, upstream: Upstream) -> Upstream:
        """Waits until the model is loaded; returns its upstream.

        The caller holds slots of it, which bounds how many wait. Raises ApiError 503 if it cannot be loaded; if
        cancelled, the exception of `cancelled_unsent`.
        """
        model = upstream.engine
        self._count[model] += 1
        try:
            while True:
                found = self._upstream(model)
                if found is None:
                    raise model_unavailable(model)
                if self._lost.get(model) == found.origin:
                    await self._hear(found)
                    self._lost.pop(model, None)
                    continue
                if not found.cold:
                    return found
                loaded = self._waiting.get(model)
                if loaded is None:
                    loaded = self._waiting[model] = asyncio.get_running_loop().create_future()
                    self._send(Wanted(model=model))
                await asyncio.shield(loaded)
        except asyncio.CancelledError:
            raise cancelled_unsent() from None
        finally:
            self._count[model] -= 1
            if not self._count[model]:
                del self._count[model]
                self._waiting.pop(model, None)  # nobody wants it any more

    def serves(self, model: str, host: Origin) -> bool:
        """True if the model's host is the one at this address, by the last news."""
        found = self._upstream(model)
        return found is not None and found.origin == host

    def lose(self, model: str, host: Origin) -> None:
        """Notes that a host broke off an answer: until there is news of it, no other request is sent there."""
        self._lost[model] = host

    async def hear_of_death(self, upstream: Upstream) -> None:
        """Waits until the supervisor has told that a host, whose address refuses, is gone.

        Raises ApiError 503 if it does not; if cancelled, the exception of `cancelled_unsent`.
        """
        try:
            await self._hear(upstream)
        except asyncio.CancelledError:
            raise cancelled_unsent() from None
        if self.serves(upstream.engine, upstream.origin):
            raise model_unavailable(upstream.engine)

    async def _hear(self, upstream: Upstream) -> None:
        """Waits for the news that a host is gone, as long as that may take."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_NEWS_S):
                while self.serves(upstream.engine, upstream.origin):
                    await self._heard.wait()

    def _upstream(self, model: str) -> Upstream | None:
        known = self._router.directory.deployments.get(f"{LOCAL}/{model}")
        return None if known is None else known.upstream


def _drop(message: FromChild) -> None:
    """Tells nobody, as long as there is no supervisor."""
