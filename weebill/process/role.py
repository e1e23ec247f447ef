"""The rules by which the supervisor runs the processes of a role. A package with a process has its own in `role.py`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

from weebill.config.schema import Settings
from weebill.process.messages import Message


def always(settings: Settings) -> bool:
    """Returns True, for roles that every installation has."""
    return True


def unchanged(settings: Settings) -> Settings:
    """Returns all settings, for roles that need them."""
    return settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """The rules for children of a role. Times in seconds.

    `follows` are the kinds of messages that they get after changes, and `settings` selects the settings that they
    need. A starting child is killed if it is not ready after `start_timeout_s`, or has done nothing for `start_idle_s`.
    `exit_margin_s` is the time it may take to exit once its link has closed or its grace is over.
    `death_by_signal` is the likely reason for its death by a signal. Without being `needed` by the settings, it does
    not run.
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
    needed: Callable[[Settings], bool] = always


def module(name: str) -> tuple[str, ...]:
    """Returns the command that runs a module of this package."""
    # -P: a folder named `weebill` in the current folder must not be imported.
    return (sys.executable, "-P", "-m", name)
