"""What is said again and again is logged now and then."""

from __future__ import annotations

from typing import Final

_EVERY_S: Final = 1.0
_MOST: Final = 256


class SeldomLog:
    """Tells whether something is due to be said about a name: once a second for each, of which few are remembered."""

    __slots__ = ("_said_at",)

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}  # the oldest first

    def is_due(self, name: str, now: float) -> bool:
        """Whether it is, and then not again for a second. The time never runs backwards."""
        said_at = self._said_at
        last = said_at.get(name)
        if last is not None and now - last < _EVERY_S:
            return False
        said_at.pop(name, None)
        said_at[name] = now
        oldest = next(iter(said_at))
        while len(said_at) > _MOST or now - said_at[oldest] >= _EVERY_S:
            del said_at[oldest]
            oldest = next(iter(said_at))
        return True

    @property
    def remembered(self) -> tuple[str, ...]:
        """The names of which something was said in the last second, as far as there has been need to look."""
        return tuple(self._said_at)
