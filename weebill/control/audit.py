"""The management API's endpoints for the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from weebill.accounts.audit_shown import AuditShown, shown
from weebill.control.answers import Json
from weebill.control.listing import DEFAULT_LIMIT, Limit, Listed, listed
from weebill.control.refusals import answering
from weebill.control.routing import Routes
from weebill.storage.audit import latest
from weebill.storage.database import Database

_After = Annotated[int | None, Query(ge=1, lt=2**63)]


class AuditRoutes:
    """Lists rows, the latest first: of the installation, and of one organisation."""

    def __init__(self, ledger: Database) -> None:
        self._ledger = ledger
        self.routes: Routes = {
            "GET /audit": self._all,
            "GET /organizations/{organization_id}/audit": self._of_organisation,
        }

    def _all(self, limit: Limit = DEFAULT_LIMIT, after: _After = None) -> Json[Listed[AuditShown]]:
        """Lists the audit log of the installation, newest first."""
        return self._listed(limit, after, None)

    def _of_organisation(
        self, organization_id: str, limit: Limit = DEFAULT_LIMIT, after: _After = None
    ) -> Json[Listed[AuditShown]]:
        """Lists the audit log of an organisation, newest first."""
        return self._listed(limit, after, organization_id)

    def _listed(self, limit: int, after: int | None, organisation_id: str | None) -> Json[Listed[AuditShown]]:
        with answering():
            found = self._ledger.read(lambda connection: latest(connection, limit + 1, after, organisation_id))
        return listed([shown(entry) for entry in found], limit, lambda each: each.id)
