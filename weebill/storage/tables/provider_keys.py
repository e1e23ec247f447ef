"""The table of providers' keys that are given through the API."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, ForeignKey, Index, Named, Table, TypedColumns

from weebill.storage.tables.ledger import LEDGER
from weebill.storage.tables.types import Binary, Flag, String, Whole


class _ProviderKeys(TypedColumns):
    id = Column(String, primary_key=True)
    provider = Column(String, nullable=False)
    project_id: Named[str | None] = Column(String, ForeignKey("projects.id"))
    secret = Column(Binary, nullable=False)
    hint = Column(String, nullable=False)
    created_at = Column(Whole, nullable=False)
    created_by = Column(String, nullable=False)
    fallback = Column(Flag, nullable=False)
    disabled_at: Named[int | None] = Column(Whole)
    last_used_at: Named[int | None] = Column(Whole)
    refused_at: Named[int | None] = Column(Whole)
    refusal = Column(String, nullable=False)


PROVIDER_KEYS: Final = Table("provider_keys", LEDGER, _ProviderKeys, sqlite_strict=True)
"""`secret` is sealed (`weebill.storage.sealing`)."""
Index("provider_keys_of_provider", PROVIDER_KEYS.c.provider, PROVIDER_KEYS.c.project_id)
