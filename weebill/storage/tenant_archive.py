"""A tenant's data as an archive: JSON Lines in a ZIP file, made as it is read, so it takes the same memory whatever its
size.
"""

from __future__ import annotations

import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Final

import msgspec
from msgspec import Raw
from sqlalchemy import Connection, select

from weebill.storage.database import Database
from weebill.storage.outcomes_of_requests import outcomes_of
from weebill.storage.responses import ResponseStore
from weebill.storage.tables.ledger import API_KEYS
from weebill.storage.tenant_stores import Stores, Tenant, keys_of, projects_of
from weebill.storage.usage_export import RECORD_COLUMNS, records
from weebill.usage.spans import LATEST_H, Span

FORMAT: Final = 1
"""The version of the archive's form."""
_REQUEST: Final = RECORD_COLUMNS.index("request_id")
_TAGS: Final = RECORD_COLUMNS.index("tags")
_KEY: Final = ("id", "name", "project_id", "role", "created_at", "revoked_at", "expires_at", "last_used_at")

_Rows = Iterable[Mapping[str, object]]


def archive(stores: Stores, tenant: Tenant) -> Iterator[bytes]:
    """Yields the parts of the ZIP file. Raises LedgerError, StoreError."""
    sink = _Sink()
    counts: dict[str, int] = {}
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, rows in _files(stores, tenant):
            counts[name] = 0
            with packed.open(name, "w", force_zip64=True) as file:
                for row in rows:
                    file.write(msgspec.json.encode(row) + b"\n")
                    counts[name] += 1
                    if sink.parts:
                        yield sink.taken()
        packed.writestr("manifest.json", msgspec.json.format(msgspec.json.encode(_manifest(tenant, counts))))
    yield sink.taken()


class _Sink:
    """Keeps bytes until they are taken. It cannot go back, as a connection cannot."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, part: bytes) -> int:
        self.parts.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Has nothing to do."""

    def close(self) -> None:
        """Has nothing to do."""

    def taken(self) -> bytes:
        """Returns what was written since the last time."""
        parts, self.parts = self.parts, []
        return b"".join(parts)


def _files(stores: Stores, tenant: Tenant) -> Iterator[tuple[str, _Rows]]:
    yield "requests.jsonl", _requests(stores.ledger, tenant)
    if stores.outcomes is not None:
        yield "feedback.jsonl", _outcomes(stores.ledger, stores.outcomes, tenant)
    if tenant.kind != "end_user":
        yield "keys.jsonl", _keys(stores.ledger, tenant)
        yield "responses.jsonl", _responses(stores, tenant)


def _manifest(tenant: Tenant, counts: Mapping[str, int]) -> Mapping[str, object]:
    made = datetime.fromtimestamp(int(time.time()), UTC).isoformat().replace("+00:00", "Z")
    within = {"organization": tenant.organisation, "project": tenant.project} if tenant.kind == "end_user" else {}
    of = {name: id_ for name, id_ in within.items() if id_ is not None}
    return {"format": FORMAT, "made_at": made, **of, tenant.kind: tenant.id, "rows": counts}


def _pages(ledger: Database, tenant: Tenant) -> Iterator[list[tuple[object, ...]]]:
    filters: dict[str, tuple[str | None, ...]] = {tenant.kind: (tenant.id,)}
    if tenant.kind == "end_user":
        nobodys = (None,) if tenant.or_nobodys else ()
        if tenant.project is not None:
            filters["project"] = (tenant.project,)
        else:
            filters["organization"] = (tenant.organisation, *nobodys)
    return records(ledger, Span(0, LATEST_H), filters)


def _requests(ledger: Database, tenant: Tenant) -> _Rows:
    for page in _pages(ledger, tenant):
        for row in page:
            tags = msgspec.json.decode(str(row[_TAGS] or "{}"))
            yield {**dict(zip(RECORD_COLUMNS, row, strict=True)), "tags": tags}


def _outcomes(ledger: Database, outcomes: Database, tenant: Tenant) -> _Rows:
    for page in _pages(ledger, tenant):
        yield from outcomes_of(outcomes, [str(row[_REQUEST]) for row in page])


def _keys(ledger: Database, tenant: Tenant) -> _Rows:
    columns = [API_KEYS.c[name] for name in _KEY]

    def read(connection: Connection, project: str) -> list[tuple[object, ...]]:
        found = select(*columns).where(API_KEYS.c.project_id == project).order_by(API_KEYS.c.id)
        return [tuple(row) for row in connection.execute(found)]

    for project in sorted(ledger.read(partial(projects_of, tenant=tenant))):
        for row in ledger.read(partial(read, project=project)):
            yield dict(zip(_KEY, row, strict=True))


def _responses(stores: Stores, tenant: Tenant) -> _Rows:
    store = ResponseStore(stores.responses)
    for project in sorted(stores.ledger.read(partial(projects_of, tenant=tenant))):
        for key in stores.ledger.read(partial(keys_of, project=project)):
            for each in store.all_of(key):
                yield {
                    "id": each.id, "key_id": key, "previous_id": each.previous_id, "created_at": each.created_at,
                    "input": Raw(each.input), "response": Raw(each.body),
                }  # fmt: skip
