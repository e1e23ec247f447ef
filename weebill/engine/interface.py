"""The methods by which a host knows its engine, whichever it is."""

from __future__ import annotations

from typing import Protocol, Self

from weebill.engine.role import EngineBoot, HostSettings


class Engine(Protocol):
    """A running engine: it answers HTTP at `base_url` until its process ends, to those who know the host's key.

    It speaks as llama.cpp's server does, its errors included, so that one dialect of the gateway is enough.
    """

    @property
    def base_url(self) -> str:
        """The origin, on loopback."""

    @property
    def context(self) -> int:
        """The longest text of a request in tokens."""

    @classmethod
    def start(cls, told: EngineBoot) -> Self:
        """Loads the model and serves it on a loopback port that the system chooses; returns when it answers.

        Raises EngineError, or ImportError if its packages are not installed.
        """

    @staticmethod
    def room(settings: HostSettings) -> int | None:
        """Returns the bytes that this process may use once it has loaded; None if unknown."""

    def prepare(self) -> None:
        """Does in advance what a first request would wait for. Raises EngineError."""

    def is_idle(self) -> bool:
        """True if no request is being worked on or waiting. Raises EngineError."""

    def wait_for_loop(self) -> None:
        """Returns when the loop that does the work has answered, between two of its steps and ahead of all requests."""
