"""The management API's endpoints for all of a tenant's data: to export it, and to erase it."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Final

import msgspec
from fastapi import Query
from msgspec import UNSET, UnsetType, structs
from pydantic import BaseModel, ConfigDict, Field

from weebill.config.ledger_errors import LedgerError
from weebill.control.access import Asking
from weebill.control.answers import Archive, Json, available
from weebill.control.overview import Overview
from weebill.control.refusals import answering
from weebill.control.routing import Routes
from weebill.storage.audit import record
from weebill.storage.database import Database
from weebill.storage.end_users import SeveralOrganisationsError
from weebill.storage.responses import StoreError
from weebill.storage.tenant_archive import archive
from weebill.storage.tenant_stores import Stores, Tenant, located, opened_stores
from weebill.storage.usage_erasure import Erased, erase, not_reached
from weebill.wire.errors import ApiError

LONGEST_S: Final = 20.0
"""The longest that one request goes on erasing; what is left then is for the next."""
MOST_AT_ONCE: Final = 2
_Named = Annotated[str, Field(min_length=1, max_length=1000)]
_Name = Annotated[str, Query(min_length=1, max_length=1000)]
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_-]+")


class NewErasure(BaseModel):
    """The body of `POST /api/v1/erasures`: one of its members; or an end user, and which organisation or project's."""

    model_config = ConfigDict(extra="forbid", strict=True)

    organization: _Named | None = None
    project: _Named | None = None
    end_user: _Named | None = None


class ErasureShown(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="erasure"):
    """The numbers of what was erased; if it is not `done`, the same request goes on. `not_reached` is what stays.

    `feedback` are ratings and audits that `auto` had.
    """

    organization: str | UnsetType = UNSET
    project: str | UnsetType = UNSET
    end_user: str | UnsetType = UNSET
    requests: int
    ratings: int
    responses: int
    feedback: int
    done: bool
    not_reached: list[str]


class TenantDataRoutes:
    """Exports and erases, in threads, so many at once."""

    def __init__(self, overview: Overview, ledger: Database) -> None:
        self._overview = overview
        self._ledger = ledger
        self._free = threading.BoundedSemaphore(MOST_AT_ONCE)
        self.routes: Routes = {"GET /export": self._export, "POST /erasures": self._erase}

    def _export(
        self,
        actor: Asking,
        organization: _Name | None = None,
        project: _Name | None = None,
        end_user: _Name | None = None,
    ) -> Archive:
        """Exports all that is kept of an organisation, a project or an end user, perhaps of one of those alone."""
        tenant = self._known(organization, project, end_user)
        parts = self._parts(tenant)
        first = next(parts)  # so that errors are answered as such
        with answering():
            self._ledger.change(partial(record, author=actor.author, act=tenant.act("usage.export")))
        name = _UNSAFE.sub("-", tenant.id)[:100]
        headers = {"content-disposition": f'attachment; filename="{tenant.kind}-{name}.zip"'}
        return Archive(_after(first, parts), headers)

    def _erase(self, actor: Asking, new: NewErasure) -> Json[ErasureShown]:
        """Erases all that is kept of an organisation, a project or an end user, perhaps of one of those alone."""
        tenant = self._known(new.organization, new.project, new.end_user)
        until = time.monotonic() + LONGEST_S
        erased = Erased()

        def pause() -> None:
            if time.monotonic() >= until:
                raise _LateError

        done = True
        with self._opened() as stores, _stores_answering():
            try:
                erase(stores, tenant, actor.author, pause, erased)
            except _LateError:
                done = False
        shown = ErasureShown(
            requests=erased.requests,
            ratings=erased.ratings,
            responses=erased.answers,
            feedback=erased.outcomes,
            done=done,
            not_reached=not_reached(tenant),
        )
        given = {name: id_ for name, id_ in new.model_dump().items() if id_ is not None}
        return Json(structs.replace(shown, **given))

    def _parts(self, tenant: Tenant) -> Iterator[bytes]:
        with self._opened() as stores, _stores_answering():
            yield from archive(stores, tenant)

    @contextmanager
    def _opened(self) -> Iterator[Stores]:
        if not self._free.acquire(blocking=False):
            message = f"{MOST_AT_ONCE} exports or erasures are under way; try again later."
            raise ApiError(503, message, code="busy", retry_after=30)
        try:
            with (
                available(),
                opened_stores(self._ledger, self._overview.home, self._overview.settings.database) as stores,
            ):
                yield stores
        finally:
            self._free.release()

    def _known(self, organization: str | None, project: str | None, end_user: str | None) -> Tenant:
        tenant = _asked(organization, project, end_user)
        try:
            with available():
                known = self._ledger.read(partial(located, tenant=tenant))
        except SeveralOrganisationsError as error:
            message = f"{error}: {error.said}. Give one of them as organization."
            raise ApiError(409, message, code="several_organizations", param="organization") from error
        if known is None:
            kind = "project" if project is not None else "organization"
            message = f"There is no {kind} {project or organization!r}."
            raise ApiError(404, message, code=f"{kind}_not_found", param=kind)
        return known


def _asked(organization: str | None, project: str | None, end_user: str | None) -> Tenant:
    """Returns the tenant that is meant. Raises ApiError."""
    if organization is None or project is None:
        if end_user is not None:
            return Tenant("end_user", end_user, organization, project)
        if organization is not None:
            return Tenant("organization", organization)
        if project is not None:
            return Tenant("project", project)
    message = "Give one of organization, project and end_user, or end_user with one of the others."
    raise ApiError(400, message, code="invalid_value", param="project")


class _LateError(Exception):
    """It has taken long enough."""


@contextmanager
def _stores_answering() -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise LedgerError(str(error)) from error


def _after(first: bytes, parts: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from parts
