"""The endpoints of signing in, under `/api/v1/auth`, and of sessions."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from weebill.accounts.one_time_codes import enrolment
from weebill.accounts.sign_in import Opened, Present
from weebill.accounts.tenants import User
from weebill.control.answers import Accepted, Created, Json
from weebill.control.listing import Whole
from weebill.control.routing import Routes
from weebill.control.sign_in.door import Door
from weebill.control.sign_in.guard import Guard
from weebill.control.sign_in.shapes import (
    Changed,
    CodesBegun,
    Mailed,
    OwnSession,
    RecoveryCodes,
    SessionEnded,
    SignedIn,
    SignedOut,
    SignedOutEverywhere,
    SignInState,
    shown,
    shown_session,
)
from weebill.wire.errors import ApiError

_STRICT: Final = ConfigDict(extra="forbid", strict=True)
Text = Annotated[str, Field(max_length=1024)]


class SignIn(BaseModel):
    """The body of `POST /api/v1/auth/sign-in`; `code` is a one-time or recovery code."""

    model_config = _STRICT

    email: Text
    password: Text
    code: Text = ""


class Token(BaseModel):
    """A body with a one-time token alone."""

    model_config = _STRICT

    token: Text


class Address(BaseModel):
    """A body with an e-mail address alone."""

    model_config = _STRICT

    email: Text


class Joining(Token):
    """The body of `POST /api/v1/auth/join`; who has a user already needs neither name nor password."""

    name: Text = ""
    password: Text = ""


class NewPassword(Token):
    """The body of `POST /api/v1/auth/reset/complete`."""

    password: Text


class ChangedPassword(BaseModel):
    """The body of `POST /api/v1/auth/password`; `password` is the present one, if there is one."""

    model_config = _STRICT

    password: Text = ""
    new_password: Text


class Proof(BaseModel):
    """A body with the present password, which who has none leaves out."""

    model_config = _STRICT

    password: Text = ""


class Code(BaseModel):
    """The body of `POST /api/v1/auth/codes/confirm`."""

    model_config = _STRICT

    code: Text


class AuthRoutes:
    """Signs in, up and out. Changes by those who have signed in need `x-weebill-csrf`, and no other site's page."""

    def __init__(self, door: Door, guard: Guard) -> None:
        self._door = door
        self._guard = guard
        self.routes: Routes = {
            "GET /auth/session": self._session,
            "POST /auth/sign-in": self._sign_in,
            "POST /auth/link": self._link,
            "POST /auth/sign-up": self._sign_up,
            "POST /auth/join": self._join,
            "POST /auth/reset": self._ask_for_reset,
            "POST /auth/reset/complete": self._reset,
            "POST /auth/password": self._password,
            "POST /auth/codes": self._begin_codes,
            "POST /auth/codes/confirm": self._confirm_codes,
            "POST /auth/codes/end": self._end_codes,
            "POST /auth/sign-out": self._sign_out,
            "POST /auth/sign-out-everywhere": self._sign_out_everywhere,
            "GET /sessions": self._sessions,
            "DELETE /sessions/{session_id}": self._end_session,
        }

    async def _session(self, request: Request) -> Json[SignInState]:
        """Says who has signed in, and how people can."""
        present = await self._guard.present(request)
        settings = self._door.settings
        signed_in = None if present is None else shown(present)
        return Json(SignInState(signed_in=signed_in, sign_up=settings.sign_up, openid=self._door.openid_name))

    async def _sign_in(self, request: Request, given: SignIn) -> Json[SignedIn]:
        """Signs in by password."""
        site = self._guard.site(request)
        site.require_own(header=False)
        opened = await self._door.sign_in(given.email, given.password, given.code, site.visitor, site.cookie())
        return self._signed_in(request, opened)

    async def _link(self, request: Request, given: Token) -> Json[SignedIn]:
        """Signs in by a one-time link."""
        site = self._guard.site(request)
        site.require_own(header=False)
        return self._signed_in(request, await self._door.open_by_link(given.token, site.visitor, site.cookie()))

    async def _sign_up(self, request: Request, given: Address) -> Accepted[Mailed]:
        """Mails a link by which an address is confirmed."""
        site = self._guard.site(request)
        site.require_own(header=False)
        await self._door.sign_up(given.email, site.visitor)
        return Accepted(Mailed())

    async def _join(self, request: Request, given: Joining) -> Json[SignedIn]:
        """Confirms an address, or accepts an invitation."""
        site = self._guard.site(request)
        site.require_own(header=False)
        joined = await self._door.join(given.token, given.name, given.password, site.visitor)
        return Json(SignedIn(signed_in=None)) if isinstance(joined, User) else self._signed_in(request, joined)

    async def _ask_for_reset(self, request: Request, given: Address) -> Accepted[Mailed]:
        """Mails a link by which another password is set."""
        site = self._guard.site(request)
        site.require_own(header=False)
        await self._door.ask_for_reset(given.email, site.visitor)
        return Accepted(Mailed())

    async def _reset(self, request: Request, given: NewPassword) -> Json[Changed]:
        """Sets another password by such a link, and ends all sessions."""
        site = self._guard.site(request)
        site.require_own(header=False)
        await self._door.reset(given.token, given.password, site.visitor)
        return Json(Changed())

    async def _password(self, request: Request, given: ChangedPassword) -> Json[Changed]:
        """Sets another password, and ends all other sessions."""
        present = await self._guard.signed_in(request)
        visitor = self._guard.site(request).visitor
        await self._door.set_password(present, given.password, given.new_password, visitor)
        return Json(Changed())

    async def _begin_codes(self, request: Request, given: Proof) -> Created[CodesBegun]:
        """Makes a secret for one-time codes, which are not asked for yet."""
        present = await self._guard.signed_in(request)
        secret = await self._door.begin_codes(present, given.password, self._guard.site(request).visitor)
        return Created(CodesBegun(secret=secret, url=enrolment(secret, present.user.email)))

    async def _confirm_codes(self, request: Request, given: Code) -> Json[RecoveryCodes]:
        """Has one-time codes asked for from now on."""
        present = await self._guard.signed_in(request)
        codes = await self._door.confirm_codes(present, given.code, self._guard.site(request).visitor)
        return Json(RecoveryCodes(recovery_codes=codes))

    async def _end_codes(self, request: Request, given: Proof) -> Json[Changed]:
        """Has one-time codes not asked for any more."""
        present = await self._guard.signed_in(request)
        await self._door.end_codes(present, given.password, self._guard.site(request).visitor)
        return Json(Changed())

    async def _sign_out(self, request: Request) -> Json[SignedOut]:
        """Ends the session."""
        await self._guard.signed_in(request)
        site, response = self._guard.site(request), Json(SignedOut())
        await self._door.sign_out(site.cookie())
        site.set_cookie(response, "")
        return response

    async def _sign_out_everywhere(self, request: Request) -> Json[SignedOutEverywhere]:
        """Ends all own sessions."""
        present = await self._guard.signed_in(request)
        site = self._guard.site(request)
        ended = await self._door.end_sessions(present, lambda _: True, site.visitor)
        response = Json(SignedOutEverywhere(ended=ended))
        site.set_cookie(response, "")
        return response

    async def _sessions(self, request: Request) -> Json[Whole[OwnSession]]:
        """Lists the own sessions."""
        present = await self._guard.signed_in(request)
        found = await self._door.sessions(present.user.id)
        return Json(Whole(data=[shown_session(each, present) for each in found]))

    async def _end_session(self, request: Request, session_id: str) -> Json[SessionEnded]:
        """Ends one of the own sessions."""
        present = await self._guard.signed_in(request)
        visitor = self._guard.site(request).visitor
        if not await self._door.end_sessions(present, lambda each: each.id == session_id, visitor):
            message = f"You have no session {session_id!r}; list them to see their ids."
            raise ApiError(404, message, code="session_not_found", param="session_id")
        return Json(SessionEnded(id=session_id))

    def _signed_in(self, request: Request, opened: Opened) -> Json[SignedIn]:
        response = Json(SignedIn(signed_in=shown(Present(opened.session, opened.user, {}))))
        lasts_s = int(self._door.lifetimes.longest_s)
        self._guard.site(request).set_cookie(response, opened.token, lasts_s=lasts_s)
        return response
