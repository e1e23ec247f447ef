"""How the processes of a role are run. Each room that has a process declares its own, in its `role.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from weebill.config.schema import Settings
from weebill.process.messages import Message


def unchanged(settings: Settings) -> Settings:
    """All settings, for those who need them."""
    return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """How children of a role are run. Times in seconds.

    `follows` are the kinds of messages that they are sent when there is something new, and `settings` gives what they
    need of the installation's. One that starts is killed when it is not ready after `start_timeout_s`, or has done
    nothing for `start_idle_s`. `exit_margin_s` is how long one may take to exit once its link has closed or its grace
    is over. `death_by_signal` says what the death by a signal most likely means.
    """

    name: str
    command: tuple[str, ...]
    start_timeout_s: float
    start_idle_s: float
    first_backoff_s: float
    longest_backoff_s: float
    exit_margin_s: float
    follows: frozenset[type[Message]] = frozenset()
    settings: Callable[[Settings], Settings] = unchanged
    death_by_signal: tuple[tuple[int, str], ...] = ()


def module(name: str) -> tuple[str, ...]:
    """The command that runs a module of ours."""
    # -P: a folder named `weebill` where the user happens to be must not be taken for ours.
    return (sys.executable, "-P", "-m", name)
