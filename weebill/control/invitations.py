"""The management API's endpoints for invitations to an organisation."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from fastapi import Request
from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field

from weebill.accounts.sessions import Invitation
from weebill.accounts.tenants import Role
from weebill.control.access import Asking
from weebill.control.answers import Created, Json
from weebill.control.listing import Whole
from weebill.control.routing import Routes
from weebill.control.sign_in.cookies import Site
from weebill.control.sign_in.door import Door
from weebill.control.sign_in.letters import link_of

Text = Annotated[str, Field(max_length=1024)]


class NewInvitation(BaseModel):
    """The body of `POST /api/v1/organizations/{organization_id}/invitations`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    email: Text
    role: Text = "member"


class InvitationMade(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="invitation"):
    """An invitation, with its link, which is shown only now."""

    id: str
    email: str
    role: Role | None
    link: str


class InvitationShown(Invitation, frozen=True, kw_only=True, tag_field="object", tag="invitation"):
    """An invitation that is still open. Times are Unix seconds."""


class InvitationWithdrawn(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="invitation"):
    """An invitation whose link is of no use any more."""

    id: str
    deleted: Literal[True] = True


class InvitationRoutes:
    """Invites people to an organisation, and takes that back; the routes are of those that need a permission."""

    def __init__(self, door: Door) -> None:
        self._door = door
        path = "/organizations/{organization_id}/invitations"
        self.routes: Routes = {
            f"GET {path}": self._list,
            f"POST {path}": self._invite,
            f"DELETE {path}/{{invitation_id}}": self._withdraw,
        }

    async def _list(self, organization_id: str) -> Json[Whole[InvitationShown]]:
        """Lists the open invitations to an organisation, oldest first, at most a thousand."""
        found = await self._door.invitations(organization_id)
        return Json(Whole(data=[InvitationShown(**structs.asdict(each)) for each in found]))

    async def _invite(
        self, request: Request, actor: Asking, organization_id: str, given: NewInvitation
    ) -> Created[InvitationMade]:
        """Invites somebody to an organisation; an open invitation of the same address is of no use from then on."""
        issued = await self._door.invite(actor, organization_id, given.email, given.role)
        # Only for who has asked, so the host that was asked may be in it.
        origin = self._door.settings.origin or Site(request, self._door.settings).origin
        ticket, link = issued.ticket, link_of(origin, "invitation", issued.token)
        return Created(InvitationMade(id=issued.id, email=ticket.email, role=ticket.role, link=link))

    async def _withdraw(self, actor: Asking, organization_id: str, invitation_id: str) -> Json[InvitationWithdrawn]:
        """Ends an invitation, whose link is of no use from then on."""
        gone = await self._door.withdraw(actor, organization_id, invitation_id)
        return Json(InvitationWithdrawn(id=gone.id))
