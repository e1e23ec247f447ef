"""The hosts of local models, within a budget of memory.

1. Models that the configuration names are loaded at the start, and stay. All others have no host until a worker says
   that it has a request for one (`Wanted`).
2. Its host is started if its memory fits beside that of the others. If it does not, the hosts that have been idle
   longest are ended first. A host that is in use, or of a model that stays, is never ended for another one.
3. Workers say which models they use, and how long each is to be kept (`InUse`); `keep_alive_s` is the usual time. A
   host that is idle for longer is ended.
4. A model that cannot be loaded is said to be down for a while, longer with each failure, and can then be wanted again.
5. Models that differ only in what requests can be given share a host (`models.sharing`), which goes on when one of its
   names comes or goes. If a model was made later and needs what its host was not told of, the first request for it has
   the host ended, once its answers are complete, and started again with everything that there is by then. Meanwhile,
   requests for all of its models wait, and no others.
6. Adapters that keep a host from starting are left out (`suspects`).
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import chain, count, zip_longest
from math import inf
from typing import Final

import msgspec

from weebill.config.schema import EngineSettings, LocalSettings
from weebill.models.needs import window_of
from weebill.models.sharing import SharedModel, shared
from weebill.models.store import ServedModel
from weebill.process.beats import set_or_due, until_beat
from weebill.supervisor.child import Child
from weebill.supervisor.pooled_model import PooledModel

TICK_S: Final = 0.25  # while models are loaded or ended, or wanted
_QUIET_TICK_S: Final = 1.0  # otherwise: what is idle is ended
# Workers repeat twice a second what they use, and every second what they want.
_IN_USE_S: Final = 1.5
_WANTED_S: Final = 4.0
# The host has been idle for longer than this when it is told to end for another one, or for want of use.
_GRACE_S: Final = 5.0
# The host of a model with another file or adapter completes its answers first.
_LONG_GRACE_S: Final = 600.0

log = logging.getLogger(__name__)


def _keys(offer: SharedModel) -> Iterator[str]:
    """Yields keys for a new model of the pool, without end: any may be that of one which is to go on."""
    first = next(iter(offer.members))
    return chain(offer.members, (f"{first} ({number})" for number in count(2)))


class Pool:
    """The models of one installation and their hosts. Belongs to one event loop."""

    def __init__(
        self,
        make_host: Callable[[PooledModel], Child],
        budget: int,
        local: Callable[[], LocalSettings],
        on_change: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`budget` is the memory of all hosts together in bytes, 0 for no limit."""
        self._make_host = make_host
        self._budget = budget
        self._local = local
        self._on_change = on_change
        self._clock = clock
        self._models: dict[str, PooledModel] = {}
        self._by_name: dict[str, PooledModel] = {}
        self._ends: set[asyncio.Task[None]] = set()
        self._closed = False
        self._advanced_at = clock()
        self._due = asyncio.Event()

    @property
    def models(self) -> Collection[PooledModel]:
        """All models, in the order in which they were offered."""
        return self._models.values()

    @property
    def hosts(self) -> Iterator[Child]:
        """The hosts that there are, ending ones included."""
        return (each.host for each in self._models.values() if each.host is not None)

    def now(self) -> float:
        """Returns the time by the clock of the pool."""
        return self._clock()

    def offer(self, models: Mapping[str, ServedModel], stay: Collection[str]) -> None:
        """Takes over which models there are.

        A model that is gone, or whose file is another one, loses its host; one that stays is loaded from its new file
        when its host dies. One that could not be loaded can be wanted at once, as its file may have been mended. The
        caller tells others of the change.
        """
        offers = shared(models, stay)
        found = self._known(offers, stay)
        for gone in [each for each in self._models.values() if each not in found.values()]:
            gone.gone = True
            self._end(gone, "it was removed", _LONG_GRACE_S)
            if gone.host is None:
                del self._models[gone.key]
        for name, offer in offers.items():
            known = found.get(name)
            if known is None:
                key = next(each for each in _keys(offer) if each not in self._models)
                found[name] = self._models[key] = PooledModel(key, offer, stays=name in stay)
            else:
                if known.offer.identity != offer.identity and not known.stays:
                    self._end(known, "its file was replaced", _LONG_GRACE_S)
                known.take(offer)
        self._by_name = {name: found[first] for first, offer in offers.items() for name in offer.members}
        self._fit()

    def start(self) -> None:
        """Makes the hosts of the models that stay; the caller starts them."""
        for model in self._models.values():
            if model.stays and model.host is None:
                model.host = self._made(model)

    def want(self, name: str) -> None:
        """Loads a model for requests that wait for it."""
        model = self._by_name.get(name)
        if model is None or model.is_at_fault(name):
            return
        model.suspects.lift(model.offer.members[name])
        if model.serves and model.lacks(name):
            model.renews = model.stays
            self._end(model, f"{name} was made after it was loaded", _LONG_GRACE_S)
        if model.is_cold(self._clock()):
            model.wanted_at = self._clock()
            self.advance()
            self._due.set()

    def in_use(self, names: Sequence[str], keep_s: Sequence[float] = (), worker: str = "") -> None:
        """Notes that a worker uses these models now, and how long they are to be kept, -1 without end."""
        now = self._clock()
        for name, seconds in zip_longest(names, keep_s):
            model = self._by_name.get(name)
            if model is not None:
                model.used_at = now
                if seconds is not None:
                    model.kept[worker, name] = inf if seconds < 0 else now + seconds

    def forget(self, worker: str) -> None:
        """Forgets how long a worker that has ended wanted models to be kept."""
        for model in self._models.values():
            model.forget(worker)

    def kept_s(self, model: PooledModel) -> float | None:
        """Returns for how long a host is kept if nobody uses it again; None without end."""
        left = inf if model.stays else model.kept_until(self._local().keep_alive_s) - self._clock()
        return None if left == inf else max(0.0, left)

    def kept_without(self, worker: str) -> dict[str, float]:
        """Returns the seconds from now for which each host that may be unloaded is kept, whatever this worker wants.

        By the host's name; -1 without end. Hosts that nobody else keeps are left out.
        """
        now, usual_s = self._clock(), self._local().keep_alive_s
        hosts = {each.key: each.kept_without(worker, usual_s) for each in self._models.values() if each.serves}
        return {key: -1.0 if at == inf else max(0.0, at - now) for key, at in hosts.items() if at is not None}

    def unload(self, name: str) -> bool:
        """Ends the host of a model, and so of all that share it; returns False if it has none."""
        model = self._by_name.get(name)
        if model is None or model.host is None or model.ending:
            return False
        model.wanted_at = None
        self._end(model, "it was told to")
        return True

    def advance(self) -> None:
        """Loads what is wanted and fits, and ends what has been idle for too long."""
        before, now = self._advanced_at, self._clock()
        self._advanced_at = now
        for model in self._models.values():
            self._settle(model, now)
        if any(before < each.retry_at <= now for each in self._models.values()):
            self._on_change()  # they can be wanted again
        for model in sorted(self._wanted(now), key=lambda each: each.wanted_at or 0.0):
            if self._is_elsewhere(model):
                continue  # it waits for the end of that host, which may take long, and not for memory
            if not self._load(model, now):
                break  # in the order in which they were wanted
        keep_alive_s = self._local().keep_alive_s
        for model in self._models.values():
            if self._idle_s(model, now) > _IN_USE_S and now > model.kept_until(keep_alive_s):
                self._end(model, f"nobody has used it for {now - model.used_at:.0f} s")

    async def keep(self) -> None:
        """Advances again and again."""
        while True:
            await set_or_due(self._due, TICK_S if self._moves() else until_beat(_QUIET_TICK_S))
            self._due.clear()
            try:
                self.advance()
            except Exception:  # whatever it is: models must go on being loaded
                log.exception("the local models could not be looked after")

    def _moves(self) -> bool:
        """True if a model is being loaded or ended, or is wanted."""
        return any(
            each.wanted_at is not None or each.ending or (each.host is not None and each.host.ready is None)
            for each in self._models.values()
        )

    async def close(self) -> None:
        """Ends all hosts."""
        self._closed = True
        await asyncio.gather(*(host.stop(0.0) for host in self.hosts), *self._ends)

    def _known(self, offers: Mapping[str, SharedModel], stay: Collection[str]) -> dict[str, PooledModel]:
        """Returns the models that these offers are news of, each by the first name of its offer.

        A model that stays is known by its name. Of the others, one of the same files comes before one of that name: its
        host goes on, whatever it is called by now.
        """
        staying = {each.key: each for each in self._models.values() if each.stays}
        others = {each.key: each for each in self._models.values() if not each.stays}
        of_files = {each.offer.identity: each for each in others.values()}
        found = {name: staying[name] for name in offers if name in staying}
        free = [name for name in offers if name not in stay]
        for name in free:
            if (known := of_files.get(offers[name].identity)) is not None:
                found[name] = others.pop(known.key)
        return {name: others[name] for name in free if name in others} | found

    def _fit(self) -> None:
        """Works out the contexts of all models without a host: what fits beside the models that stay."""
        engine, room = self._local().engine, self._budget or sys.maxsize
        staying = [each for each in self._models.values() if each.stays]
        for model in staying:
            self._fit_one(model, engine, room // len(staying))
        for model in self._models.values():
            if not model.stays:
                self._fit_one(model, engine, room - sum(each.need for each in staying))

    def _fit_one(self, model: PooledModel, engine: EngineSettings, room: int) -> None:
        if model.host is None:
            served = model.offer.first
            if served.context:
                engine = msgspec.structs.replace(engine, context=served.context)
            model.window = window_of(model.offer.costs, engine, served.trained_context, room)

    def _wanted(self, now: float) -> list[PooledModel]:
        wanted = []
        for model in self._models.values():
            if model.wanted_at is None or model.host is not None:
                continue
            if now - model.wanted_at > _WANTED_S:
                model.wanted_at = None  # those who waited have left
            else:
                wanted.append(model)
        return wanted

    def _settle(self, model: PooledModel, now: float) -> None:
        """Notes that a host serves, or that it cannot."""
        host = model.host
        if host is None or model.ending:
            return
        has_failed = model.has_new_failure()
        if host.ready is not None:
            if model.suspects.acquit(model.loaded, model.offer.members):
                self._on_change()
        elif has_failed and model.suspects.leave_out(model.loaded, host.failed_starts):
            log.warning("a host is started again, if need be without some adapters", extra={"model": model.name})
            return
        if model.stays:
            if model.renews and (host.ready is not None or has_failed):
                model.renews, model.wanted_at = False, None
                self._on_change()
        elif host.ready is not None:
            model.failure, model.wanted_at = "", None
            model.backoff.reset()
        elif host.failure and has_failed:
            model.failure = host.failure
            model.retry_at = now + model.backoff.after(0.0)
            model.wanted_at = None
            self._end(model, "it could not be loaded")

    def _load(self, model: PooledModel, now: float) -> bool:
        """Starts the host of a model; False if it has to wait for the memory of others."""
        if self._budget and not self._make_room(model, now):
            return bool(model.failure)
        window = model.window
        log.info(
            "loading a model",
            extra={
                "model": model.name,
                "needs_mb": window.memory >> 20,
                "context": window.context,
                "parallel": window.parallel,
            },
        )
        model.used_at = now
        model.kept.clear()
        model.host = self._made(model)
        model.host.start()
        return True

    def _is_elsewhere(self, model: PooledModel) -> bool:
        """True if the file is still in memory under a name that is gone, or has another file now; has that ended."""
        for other in self._models.values():
            if other is not model and other.host is not None and other.loaded.identity == model.offer.identity:
                other.renews = other.stays
                self._end(other, f"{model.name} is to be loaded from its file", _LONG_GRACE_S)
                return True
        return False

    def _made(self, model: PooledModel) -> Child:
        model.boot()
        model.failed_starts = 0
        return self._make_host(model)

    def _make_room(self, model: PooledModel, now: float) -> bool:
        """Ends idle hosts until the model's memory is free; True once it is."""
        staying = sum(each.need for each in self._models.values() if each.stays)
        if model.need > self._budget - staying:
            why = (
                f"{model.name} needs {model.need >> 20:,} MiB for a context of {model.window.context:,} tokens, and "
                f"[local] memory_mb leaves {max(0, self._budget - staying) >> 20:,} for it"
            )
            self._refuse(model, now, why)
            return False
        idle = [each for each in self._models.values() if self._idle_s(each, now) > _IN_USE_S]
        ending = sum(each.need for each in self._models.values() if each.ending)
        free = self._budget - sum(each.need for each in self._models.values() if each.host is not None)
        for victim in sorted(idle, key=lambda each: each.used_at):
            if free + ending >= model.need:
                break
            self._end(victim, f"{model.name} needs its memory")
            ending += victim.need
        return free >= model.need

    def _refuse(self, model: PooledModel, now: float, why: str) -> None:
        """Says that a model cannot be loaded; it can be wanted again later."""
        log.error("a model cannot be loaded: %s", why)
        model.failure = why
        model.retry_at = now + model.backoff.after(0.0)
        model.wanted_at = None
        self._on_change()

    def _idle_s(self, model: PooledModel, now: float) -> float:
        """Returns for how long a host that may be ended has been idle; 0 for others."""
        host = model.host
        if host is None or host.ready is None or model.stays or model.ending:
            return 0.0
        return now - model.used_at

    def _end(self, model: PooledModel, why: str, grace_s: float = _GRACE_S) -> None:
        if model.host is None or model.ending or self._closed:
            return
        log.info("unloading a model", extra={"model": model.name, "why": why})
        model.ending = True
        task = asyncio.create_task(self._ended(model, model.host, grace_s), name=f"unload {model.name}")
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)
        self._on_change()

    async def _ended(self, model: PooledModel, host: Child, grace_s: float) -> None:
        await host.stop(grace_s)
        model.host = None
        model.ending = False
        if model.gone:
            del self._models[model.key]
        self._fit()  # its file may be another one
        if not self._closed:
            if model.stays and not model.gone:
                model.host = self._made(model)
                model.host.start()
            self._on_change()
            self.advance()
