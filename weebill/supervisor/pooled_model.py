"""A model of the pool: what its host was told, how long it is kept, and whether a request can be served or may wait."""

from __future__ import annotations

from typing import Final

from weebill.models.needs import Window
from weebill.models.sharing import SharedModel
from weebill.models.store import ServedModel
from weebill.supervisor.backoff import Backoff
from weebill.supervisor.child import Child
from weebill.supervisor.suspects import Suspects

FIRST_RETRY_S: Final = 5.0
_LONGEST_RETRY_S: Final = 300.0


class PooledModel:
    """A file of the pool with all models that share its host, which it has or not.

    `key` is its own among all of the pool, and stays the same while models come and go: the name of one that it had.
    """

    def __init__(self, key: str, offer: SharedModel, *, stays: bool) -> None:
        self.key = key
        self.window = Window(0, 0, 0)
        """The contexts that its host has, or will have."""
        self.offer = offer
        self.loaded = offer
        """The offer that its host was started with, if it has one."""
        self.stays = stays
        self.renews = False
        """True from the time when a host that stays is ended for a new offer until its successor serves."""
        self.suspects = Suspects()
        self.host: Child | None = None
        self.failed_starts = 0
        """Of its host, those that were looked at."""
        self.used_at = 0.0
        self.kept: dict[tuple[str, str], float] = {}
        """Until when it is to be kept: by the worker that says so, and the name that was used."""
        self.wanted_at: float | None = None
        self.failure = ""
        self.retry_at = 0.0
        self.ending = False
        self.gone = False
        self.backoff = Backoff(FIRST_RETRY_S, _LONGEST_RETRY_S)

    @property
    def name(self) -> str:
        """The first of its names."""
        return next(iter(self.offer.members))

    @property
    def need(self) -> int:
        """The memory of its host in bytes."""
        return self.window.memory

    @property
    def serves(self) -> bool:
        """True if it has a host that can be asked."""
        return self.host is not None and self.host.ready is not None and not self.ending

    def is_cold(self, now: float) -> bool:
        """True if a request may wait for it: it has no host that serves, and can get one."""
        if self.gone or (self.stays and not self.renews):
            return False
        return not self.serves and now >= self.retry_at

    def lacks(self, name: str) -> bool:
        """True if it has a host that cannot be asked for one of its models, as that was made later."""
        if self.host is None:
            return False
        if self.loaded.identity != self.offer.identity:
            return name not in self.loaded.members
        return not self.loaded.has(name, self.offer.members[name])

    def is_at_fault(self, name: str) -> bool:
        """True if the adapters of one of its models keep its host from starting, so that it has none of them."""
        return self.suspects.is_at_fault(self.offer.members[name])

    def has_new_failure(self) -> bool:
        """True if its host has failed to start since the last call."""
        before, self.failed_starts = self.failed_starts, 0 if self.host is None else self.host.failed_starts
        return self.failed_starts not in (0, before)

    def kept_until(self, usual_s: float) -> float:
        """Returns the time until which an idle host is kept for want of use; `inf` without end."""
        return max(self.kept.values(), default=self.used_at + usual_s)

    def kept_without(self, worker: str, usual_s: float) -> float | None:
        """Returns the time until which others than this worker keep it; None if they do not, or if it stays."""
        if self.stays:
            return None
        if not self.kept:
            return self.kept_until(usual_s)
        return max((until for (other, _), until in self.kept.items() if other != worker), default=None)

    def take(self, offer: SharedModel) -> None:
        """Takes over which models there are; it can be wanted at once, and is kept for none that is gone."""
        self.offer, self.gone, self.retry_at = offer, False, 0.0
        self.suspects.forget()
        self.kept = {at: until for at, until in self.kept.items() if at[1] in offer.members}

    def forget(self, worker: str) -> None:
        """Forgets how long a worker wanted it to be kept."""
        self.kept = {at: until for at, until in self.kept.items() if at[0] != worker}

    def boot(self) -> SharedModel:
        """Returns the offer that a starting host is told."""
        self.loaded = self.suspects.served(self.offer)
        return self.loaded

    def told(self, name: str) -> tuple[SharedModel, ServedModel]:
        """Returns the offer that counts for one of its names, and the model: the old one while it is still served."""
        if self.host is not None and not self.ending and not self.lacks(name):
            same = self.loaded.identity == self.offer.identity
            return self.loaded, (self.offer if same else self.loaded).members[name]
        return self.offer, self.offer.members[name]
