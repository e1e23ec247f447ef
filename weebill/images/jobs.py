"""The messages between a gateway worker and a process that works on images.

The worker writes `Work` as a line of JSON, then for each image a `Job` line and its bytes. The process writes `Done`
once it is ready, and after each job with the bytes of the result.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from weebill.images.bounds import Bounds

Task = Literal["decode", "read"]
"""An image becomes one that models are given, or the lines of text in it as JSON."""
MOST_LINE: Final = 65_536
PATIENCE: Final = 4.0
"""The seconds that a job may take by the clock, in times of those of processors: a busy machine is no fault of it."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """The kind of all jobs: the seconds that one may take of processors, and the memory of the process in bytes."""

    task: Task
    bounds: Bounds
    seconds: float
    memory: int


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """An image of `size` bytes, which follow; in `base64` as APIs have it, so that the worker need not decode it."""

    size: int
    base64: bool = False


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A result of `size` bytes, which follow; or the `problem` with the image."""

    size: int = 0
    problem: str = ""
