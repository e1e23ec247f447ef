"""A rate limit for log lines that would repeat."""

from __future__ import annotations

from typing import Final

_EVERY_S: Final = 1.0
_MOST: Final = 256


class RateLimitedLog:
    """Allows one log line a second for each name, and remembers few names."""

    __slots__ = ("_said_at",)

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}  # the oldest first

    def is_due(self, name: str, now: float) -> bool:
        """True if a line may be logged now; then False for a second. The time must not run backwards."""
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
        """The names that were logged within about the last second."""
        return tuple(self._said_at)
