"""The management API's endpoints for the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response

from weebill.accounts.audit_shown import shown
from weebill.control.listing import DEFAULT_LIMIT, Limit, listed
from weebill.control.refusals import answering
from weebill.storage.audit import latest
from weebill.storage.database import Database

_After = Annotated[int | None, Query(ge=1, lt=2**63)]


class AuditRoutes:
    """Lists rows, the latest first: of the installation, and of one organisation."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger
        self.router = APIRouter()
        self.router.add_api_route("/audit", self._all)
        self.router.add_api_route("/organizations/{organization_id}/audit", self._of_organisation)

    def _all(self, limit: Limit = DEFAULT_LIMIT, after: _After = None) -> Response:
        return self._listed(limit, after, None)

    def _of_organisation(self, organization_id: str, limit: Limit = DEFAULT_LIMIT, after: _After = None) -> Response:
        return self._listed(limit, after, organization_id)

    def _listed(self, limit: int, after: int | None, organisation_id: str | None) -> Response:
        with answering():
            found = self._ledger.read(lambda connection: latest(connection, limit + 1, after, organisation_id))
        return listed([shown(entry) for entry in found], limit)
