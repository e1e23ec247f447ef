"""The adapters that may keep a host from starting, which then starts without them: all other models go on.

1. A host that has failed to start twice starts without the adapters that none was ever ready with (`leave_out`).
2. If it is then ready, they were at fault. If one set of them was in question, the models with that set are not served
   any more. Of several, each is left out until a request for one of its models comes, and is then tried alone.
3. If it fails without them as well, they were not at fault, and the model is as any other that cannot be loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from weebill.models.sharing import SharedModel
from weebill.models.store import ServedModel

# One may be killed by somebody, or for want of memory that another process had.
_FAILURES: Final = 2

Hashes = frozenset[str]


class Suspects:
    """Knowledge of the adapters of a model of the pool: sound ones, those at fault, and those that are left out."""

    def __init__(self) -> None:
        self._sound: Hashes = frozenset()
        self._held: Hashes = frozenset()
        # Those that a start is to tell of, as it has none of them.
        self._doubted: Hashes = frozenset()
        # The set for which the host was started anew.
        self._lifted: Hashes = frozenset()
        self._at_fault: set[Hashes] = set()

    def served(self, offer: SharedModel) -> SharedModel:
        """Returns an offer without the models whose adapters are left out; all of it if no other is left."""
        members = {name: each for name, each in offer.members.items() if not self._is_left_out(each)}
        return offer if not members or len(members) == len(offer.members) else SharedModel(members, offer.identity)

    def is_at_fault(self, model: ServedModel) -> bool:
        """True if the adapters of a model keep a host from starting."""
        return _set_of(model) in self._at_fault

    def leave_out(self, loaded: SharedModel, failed_starts: int) -> bool:
        """Notes that a host has failed to start; returns True if it is to be started again, with what is `served`."""
        found = _all_of(loaded.members.values())
        if found & self._held:
            return True  # it was started before they were left out
        unsound = found - self._sound
        if not unsound or all(_set_of(each) & unsound for each in loaded.members.values()):
            self._held -= self._doubted
            self._doubted = frozenset()
            return False
        if failed_starts >= _FAILURES:
            self._held |= unsound
            self._doubted = unsound
        return True

    def acquit(self, loaded: SharedModel, members: Mapping[str, ServedModel]) -> bool:
        """Notes that a host has started; returns True if that tells which of the `members` are at fault."""
        self._sound |= _all_of(loaded.members.values())
        self._held -= self._sound
        doubted, self._doubted = self._doubted, frozenset()
        sets = {_set_of(each) for each in members.values() if _set_of(each) & doubted}
        if len(sets) > 1:
            sets &= {self._lifted}
        self._at_fault |= sets
        self._lifted = frozenset()
        return bool(doubted)

    def lift(self, model: ServedModel) -> None:
        """Has the next host started with the adapters of a model that a request has come for."""
        wanted = _set_of(model)
        if wanted & self._held and not self._doubted and wanted not in self._at_fault:
            self._held -= wanted
            self._lifted = wanted

    def forget(self) -> None:
        """Gives all another chance, as their files may have been mended."""
        self._held = self._doubted = self._lifted = frozenset()
        self._at_fault.clear()

    def _is_left_out(self, model: ServedModel) -> bool:
        return bool(_set_of(model) & self._held) or self.is_at_fault(model)


def _set_of(model: ServedModel) -> Hashes:
    return frozenset(each.sha256 for each in model.adapters)


def _all_of(models: Iterable[ServedModel]) -> Hashes:
    return frozenset[str]().union(*map(_set_of, models))
