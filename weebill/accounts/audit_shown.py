"""Rows of the audit log as scripts and the management API are shown them."""

from __future__ import annotations

import msgspec
from msgspec import structs

from weebill.accounts.audit import AuditEntry, Author


class AuditShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="audit_log"):
    """A row of the audit log. `at` is Unix microseconds; `before` and `after` have what was changed."""

    id: int
    at: int
    author: Author
    action: str
    target: str
    organization_id: str | None
    before: dict[str, object] | None
    after: dict[str, object] | None
    previous: str
    hash: str


def shown(entry: AuditEntry) -> AuditShown:
    """Returns a row as JSON; the author is an object, and what it changed is, too."""
    fields = structs.asdict(entry)
    author = Author(kind=entry.author_kind, id=entry.author_id, name=entry.author_name, address=entry.address)
    for name in ("author_kind", "author_id", "author_name", "address"):
        del fields[name]
    parts = {name: msgspec.json.decode(fields.pop(name) or "null") for name in ("before", "after")}
    organisation_id = fields.pop("organisation_id")
    return AuditShown(**fields, **parts, organization_id=organisation_id, author=author)
