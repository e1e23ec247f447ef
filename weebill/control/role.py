"""The role of the control process, for the supervisor."""

from __future__ import annotations

from typing import Final

from weebill.process.messages import Engines, Known, Processes, Reload
from weebill.process.role import Role, module

ROLE: Final = Role(
    name="control",
    command=module("weebill.control"),
    start_timeout_s=60.0,
    start_idle_s=30.0,
    first_backoff_s=0.1,
    longest_backoff_s=10.0,
    exit_margin_s=5.0,
    follows=frozenset({Reload, Engines, Processes, Known}),
)
