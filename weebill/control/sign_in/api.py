"""The endpoints of signing in, under `/api/v1/auth`, and of sessions."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from msgspec import structs
from pydantic import BaseModel, ConfigDict, Field

from weebill.accounts.one_time_codes import enrolment
from weebill.accounts.people import manages_installation
from weebill.accounts.sessions import Session
from weebill.accounts.sign_in import Opened, Present
from weebill.accounts.tenants import User
from weebill.control.answers import Json
from weebill.control.sign_in.door import Door
from weebill.control.sign_in.guard import Guard
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
        self.router = APIRouter()
        for path, handler in (
            ("/auth/sign-in", self._sign_in),
            ("/auth/link", self._link),
            ("/auth/sign-up", self._sign_up),
            ("/auth/join", self._join),
            ("/auth/reset", self._ask_for_reset),
            ("/auth/reset/complete", self._reset),
            ("/auth/password", self._password),
            ("/auth/codes", self._begin_codes),
            ("/auth/codes/confirm", self._confirm_codes),
            ("/auth/codes/end", self._end_codes),
            ("/auth/sign-out", self._sign_out),
            ("/auth/sign-out-everywhere", self._sign_out_everywhere),
        ):
            self.router.add_api_route(path, handler, methods=["POST"])
        self.router.add_api_route("/auth/session", self._session)
        self.router.add_api_route("/sessions", self._sessions)
        self.router.add_api_route("/sessions/{session_id}", self._end_session, methods=["DELETE"])

    async def _session(self, request: Request) -> Response:
        present = await self._guard.present(request)
        settings = self._door.settings
        ways = {"sign_up": settings.sign_up, "openid": self._door.openid_name}
        return Json({"object": "session", "signed_in": None if present is None else _shown(present), **ways})

    async def _sign_in(self, request: Request, given: SignIn) -> Response:
        site = self._guard.site(request)
        site.require_own(header=False)
        opened = await self._door.sign_in(given.email, given.password, given.code, site.visitor, site.cookie())
        return self._signed_in(request, opened)

    async def _link(self, request: Request, given: Token) -> Response:
        site = self._guard.site(request)
        site.require_own(header=False)
        return self._signed_in(request, await self._door.open_by_link(given.token, site.visitor, site.cookie()))

    async def _sign_up(self, request: Request, given: Address) -> Response:
        site = self._guard.site(request)
        site.require_own(header=False)
        await self._door.sign_up(given.email, site.visitor)
        return Json({"object": "mail", "sent": True}, 202)

    async def _join(self, request: Request, given: Joining) -> Response:
        site = self._guard.site(request)
        site.require_own(header=False)
        joined = await self._door.join(given.token, given.name, given.password, site.visitor)
        return Json({"signed_in": None}) if isinstance(joined, User) else self._signed_in(request, joined)

    async def _ask_for_reset(self, request: Request, given: Address) -> Response:
        site = self._guard.site(request)
        site.require_own(header=False)
        await self._door.ask_for_reset(given.email, site.visitor)
        return Json({"object": "mail", "sent": True}, 202)

    async def _reset(self, request: Request, given: NewPassword) -> Response:
        site = self._guard.site(request)
        site.require_own(header=False)
        await self._door.reset(given.token, given.password, site.visitor)
        return Json({"changed": True})

    async def _password(self, request: Request, given: ChangedPassword) -> Response:
        present = await self._guard.signed_in(request)
        visitor = self._guard.site(request).visitor
        await self._door.set_password(present, given.password, given.new_password, visitor)
        return Json({"changed": True})

    async def _begin_codes(self, request: Request, given: Proof) -> Response:
        present = await self._guard.signed_in(request)
        secret = await self._door.begin_codes(present, given.password, self._guard.site(request).visitor)
        return Json({"secret": secret, "url": enrolment(secret, present.user.email)}, 201)

    async def _confirm_codes(self, request: Request, given: Code) -> Response:
        present = await self._guard.signed_in(request)
        codes = await self._door.confirm_codes(present, given.code, self._guard.site(request).visitor)
        return Json({"recovery_codes": codes})

    async def _end_codes(self, request: Request, given: Proof) -> Response:
        present = await self._guard.signed_in(request)
        await self._door.end_codes(present, given.password, self._guard.site(request).visitor)
        return Json({"changed": True})

    async def _sign_out(self, request: Request) -> Response:
        await self._guard.signed_in(request)
        site, response = self._guard.site(request), Json({"signed_in": None})
        await self._door.sign_out(site.cookie())
        site.set_cookie(response, "")
        return response

    async def _sign_out_everywhere(self, request: Request) -> Response:
        present = await self._guard.signed_in(request)
        site = self._guard.site(request)
        ended = await self._door.end_sessions(present, lambda _: True, site.visitor)
        response = Json({"signed_in": None, "ended": ended})
        site.set_cookie(response, "")
        return response

    async def _sessions(self, request: Request) -> Response:
        present = await self._guard.signed_in(request)
        found = await self._door.sessions(present.user.id)
        data = [_shown_session(each) | {"current": each.id == present.session.id} for each in found]
        return Json({"object": "list", "data": data})

    async def _end_session(self, request: Request, session_id: str) -> Response:
        present = await self._guard.signed_in(request)
        visitor = self._guard.site(request).visitor
        if not await self._door.end_sessions(present, lambda each: each.id == session_id, visitor):
            message = f"You have no session {session_id!r}; list them to see their ids."
            raise ApiError(404, message, code="session_not_found", param="session_id")
        return Json({"object": "session", "id": session_id, "ended": True})

    def _signed_in(self, request: Request, opened: Opened) -> Response:
        response = Json({"signed_in": _shown(Present(opened.session, opened.user, {}))})
        lasts_s = int(self._door.lifetimes.longest_s)
        self._guard.site(request).set_cookie(response, opened.token, lasts_s=lasts_s)
        return response


def _shown(present: Present) -> dict[str, object]:
    user = {"id": present.user.id, "email": present.user.email, "name": present.user.name}
    manages = manages_installation(present.roles)
    return {"user": user, "session": _shown_session(present.session), "roles": present.roles, "manages": manages}


def _shown_session(session: Session) -> dict[str, object]:
    return {"object": "session", **structs.asdict(session)}
