"""The progress of bringing a model, as it is told to whoever shows it."""

from __future__ import annotations

from typing import Literal

# Each phase of a file is counted on its own, and only up. "restarting" is a download that had to begin anew.
Phase = Literal[
    "waiting",
    "resuming",
    "downloading",
    "restarting",
    "unpacking",
    "copying",
    "verifying",
    "converting",
    "quantizing",
    "distilling",
    "trying",
]


class Progress:
    """Shows nothing; whoever shows something overrides it. Called often, and from the calling thread."""

    def step(self, file: str, phase: Phase, done: int, total: int) -> None:
        """Tells the bytes of a file that are done, and those there are; a total of 0 is not known."""

    def say(self, text: str) -> None:
        """Tells what a bar cannot."""


SILENT = Progress()
