"""The role of the gateway workers, for the supervisor."""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.config.schema import Settings
from weebill.process.messages import Engines, Kept, Reload, Turn
from weebill.process.role import Role, module


class WorkerBoot(msgspec.Struct, frozen=True, kw_only=True):
    """The `own` part of a worker's `Boot`: its number, from 0, and the listening sockets that it inherits."""

    index: int = 0
    listen_fds: tuple[int, ...] = ()


ROLE: Final = Role(
    name="worker",
    command=module("weebill.gateway"),
    # Starts within a second, and waits for no other process.
    start_timeout_s=30.0,
    start_idle_s=10.0,
    first_backoff_s=0.05,
    longest_backoff_s=5.0,
    exit_margin_s=5.0,
    settings=Settings.without_sign_in,
    follows=frozenset({Reload, Engines, Kept, Turn}),
)
