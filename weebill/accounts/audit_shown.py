"""Rows of the audit log as scripts and the management API are shown them."""

from __future__ import annotations

import msgspec

from weebill.accounts.audit import AuditEntry


def shown(entry: AuditEntry) -> dict[str, object]:
    """Returns a row as JSON; the author is an object, and what it changed is, too."""
    fields = msgspec.to_builtins(entry)
    author = {"kind": entry.author_kind, "id": entry.author_id, "name": entry.author_name, "address": entry.address}
    for name in ("author_kind", "author_id", "author_name", "address"):
        del fields[name]
    parts = {name: msgspec.json.decode(fields[name]) if fields[name] else None for name in ("before", "after")}
    organisation_id = fields.pop("organisation_id")
    return {"object": "audit_log", **fields, **parts, "organization_id": organisation_id, "author": author}
