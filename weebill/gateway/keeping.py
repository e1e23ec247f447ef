"""The times for which local models are kept in memory: the last word of each API key counts, of all keys the longest.

So a key that wants a model to be let go at once does not take it from another key that has used it lately.
"""

from __future__ import annotations

from typing import Final, NamedTuple

_MAX_KEYS: Final = 1000


class _Wish(NamedTuple):
    """The seconds after each use, and the time when they are over."""

    seconds: float
    until: float


class Keeping:
    """The wishes that one worker knows of."""

    def __init__(self) -> None:
        # By model and by key; the key that has used it last comes last.
        self._wishes: dict[str, dict[str, _Wish]] = {}

    def __contains__(self, model: str) -> bool:
        return model in self._wishes

    def keep(self, model: str, key: str, seconds: float, now: float) -> None:
        """Notes what a key wants, from `now` on."""
        wishes = self._wishes.setdefault(model, {})
        wishes.pop(key, None)
        wishes[key] = _Wish(seconds, now + seconds)
        if len(wishes) > _MAX_KEYS:
            del wishes[next(iter(wishes))]

    def rest(self, model: str, key: str, now: float) -> None:
        """Notes that a key's request has ended: what it wants counts from `now` on."""
        wish = self._wishes.get(model, {}).get(key)
        if wish is not None:
            self.keep(model, key, wish.seconds, now)

    def left(self, model: str, now: float) -> float:
        """Returns the seconds from `now` on for which the model is to be kept."""
        return max([0.0, *(wish.until - now for wish in self._wishes.get(model, {}).values())])

    def forget(self, model: str, now: float) -> None:
        """Forgets wishes that are over, for a model that no request uses: they would count anew once it has ended."""
        wishes = self._wishes.get(model, {})
        for key in [key for key, wish in wishes.items() if wish.until < now]:
            del wishes[key]
