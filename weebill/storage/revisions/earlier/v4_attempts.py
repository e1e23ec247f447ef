"""The upstreams that a request was tried with. Schema 4, 2026-11-25."""

from __future__ import annotations

from typing import Final

STATEMENTS: Final = ("ALTER TABLE usage ADD COLUMN attempts TEXT NOT NULL DEFAULT ''",)
