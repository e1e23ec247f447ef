"""The role of the learner process, for the supervisor."""

from __future__ import annotations

from typing import Final

from weebill.config.schema import Settings
from weebill.process.messages import Reload
from weebill.process.role import Role, module


def learns(settings: Settings) -> bool:
    """True if the settings have an `auto`, without which there is nothing to learn."""
    return bool(settings.autos)


ROLE: Final = Role(
    name="learner",
    command=module("weebill.learner"),
    start_timeout_s=60.0,
    start_idle_s=30.0,
    first_backoff_s=0.1,
    longest_backoff_s=10.0,
    exit_margin_s=5.0,
    settings=Settings.without_sign_in,
    follows=frozenset({Reload}),
    needed=learns,
)
