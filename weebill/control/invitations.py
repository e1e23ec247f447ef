"""The management API's endpoint for invitations to an organisation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from weebill.control.access import Asking
from weebill.control.answers import Json
from weebill.control.sign_in.cookies import Site
from weebill.control.sign_in.door import Door
from weebill.control.sign_in.letters import link_of

Text = Annotated[str, Field(max_length=1024)]


class Invitation(BaseModel):
    """The body of `POST /api/v1/organizations/{organization_id}/invitations`."""

    model_config = ConfigDict(extra="forbid", strict=True)

    email: Text
    role: Text = "member"


class InvitationRoutes:
    """Invites people to an organisation; the route is one of those that need a permission."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.router = APIRouter()
        path = "/organizations/{organization_id}/invitations"
        self.router.add_api_route(path, self._invite, methods=["POST"])

    async def _invite(self, request: Request, actor: Asking, organization_id: str, given: Invitation) -> Response:
        issued = await self._door.invite(actor, organization_id, given.email, given.role)
        # Only for who has asked, so the host that was asked may be in it.
        origin = self._door.settings.origin or Site(request, self._door.settings).origin
        ticket, link = issued.ticket, link_of(origin, "invitation", issued.token)
        return Json({"object": "invitation", "email": ticket.email, "role": ticket.role, "link": link}, 201)
