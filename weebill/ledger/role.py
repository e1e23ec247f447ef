"""The role of the ledger process, for the supervisor."""

from __future__ import annotations

from typing import Final

from weebill.config.schema import Settings
from weebill.process.messages import Engines, Reload
from weebill.process.role import Role, module

ROLE: Final = Role(
    name="ledger",
    command=module("weebill.ledger"),
    # It may have to migrate a restored ledger, or to wait for another program's lock.
    start_timeout_s=600.0,
    start_idle_s=60.0,
    first_backoff_s=0.05,
    longest_backoff_s=5.0,
    # After its grace, it still ingests the last usage.
    exit_margin_s=40.0,
    settings=Settings.without_sign_in,
    follows=frozenset({Reload, Engines}),
)
