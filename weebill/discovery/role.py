"""The role of the discovery process, for the supervisor."""

from __future__ import annotations

from typing import Final

from weebill.config.schema import Settings
from weebill.process.messages import Reload
from weebill.process.role import Role, module
from weebill.routing.servers import has_servers

ROLE: Final = Role(
    name="discovery",
    command=module("weebill.discovery"),
    start_timeout_s=30.0,
    start_idle_s=10.0,
    first_backoff_s=0.1,
    longest_backoff_s=10.0,
    exit_margin_s=5.0,
    settings=Settings.without_sign_in,
    follows=frozenset({Reload}),
    needed=has_servers,
)
