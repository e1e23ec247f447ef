"""The ledger process, as the supervisor runs it."""

from __future__ import annotations

from typing import Final

from weebill.process.messages import Engines, Reload
from weebill.process.role import Role, module

ROLE: Final = Role(
    name="ledger",
    command=module("weebill.ledger"),
    # It may have to migrate a ledger that was put back, or to wait for whoever holds it locked.
    start_timeout_s=600.0,
    start_idle_s=60.0,
    first_backoff_s=0.05,
    longest_backoff_s=5.0,
    # After its grace, it still takes in the last usage.
    exit_margin_s=40.0,
    follows=frozenset({Reload, Engines}),
)
