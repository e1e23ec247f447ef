"""The progress of making and restoring a backup."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

Step = Literal["reading", "checking", "keeping", "writing"]
Progress = Callable[[Step, int, int], None]
"""Told the step, how much of it is done and how much there is: bytes of files, rows of tables."""


def silent(_: Step, _done: int, _total: int) -> None:
    """Tells nobody."""


PAGES: Final = 512
"""Of a file that are copied at a time."""
