"""The pages on which people change how they sign in, and end their sessions, without JavaScript."""

from __future__ import annotations

import re
import time

from fastapi import Request, Response

from weebill.accounts.one_time_codes import enrolment
from weebill.accounts.sessions import Session
from weebill.accounts.sign_in import Present
from weebill.control.routing import Routes
from weebill.control.sign_in.cookies import Site
from weebill.control.sign_in.door import Door
from weebill.control.sign_in.form_pages import FormPages, bad, to
from weebill.control.sign_in.forms import (
    Field,
    form,
    heading,
    links,
    listed,
    page,
    paragraph,
    row,
    said,
    section,
    username,
)
from weebill.control.sign_in.guard import Guard
from weebill.wire.errors import ApiError


class AccountPages:
    """The pages. What is refused is said on the page on which it was asked."""

    def __init__(self, door: Door, guard: Guard, forms: FormPages) -> None:
        self._door = door
        self._guard = guard
        self._forms = forms
        self.routes: Routes = {
            "GET,HEAD /account": self._account_page,
            "POST /account/password": self._password,
            "POST /account/codes": self._begin_codes,
            "POST /account/codes/confirm": self._confirm_codes,
            "POST /account/codes/end": self._end_codes,
            "POST /account/sessions": self._end_session,
            "POST /account/sign-out": self._sign_out,
            "POST /account/sign-out-everywhere": self._sign_out_everywhere,
        }

    async def _account_page(self, request: Request) -> Response:
        present = await self._guard.present(request)
        return to("/sign-in?next=/account") if present is None else await self._account(request, present)

    async def _password(self, request: Request) -> Response:
        present, site, given = await self._forms.changing(request)
        try:
            await self._door.set_password(
                present, given.get("password", ""), given.get("new_password", ""), site.visitor
            )
        except ApiError as error:
            return await self._account(request, present, error=error)
        return await self._account(request, present, "Your password is set. Your other sessions have ended.")

    async def _begin_codes(self, request: Request) -> Response:
        present, site, given = await self._forms.changing(request)
        try:
            secret = await self._door.begin_codes(present, given.get("password", ""), site.visitor)
        except ApiError as error:
            return await self._account(request, present, error=error)
        return self._confirm_form(site, present, secret)

    def _confirm_form(self, site: Site, present: Present, secret: str) -> Response:
        def shown(token: str) -> Response:
            url = enrolment(secret, present.user.email)
            code = Field("code", "The code that it shows", "text", "one-time-code")
            parts = section(
                heading("One-time codes"),
                said("Give this secret to your authenticator:", " ".join(re.findall("....", secret))),
                links((url, "Open it in an authenticator on this device")),
                form("/account/codes/confirm", token, (code,), "Confirm"),
                links(("/account", "Back")),
            )
            return page("One-time codes", [parts])

        return self._forms.with_token(site, shown)

    async def _confirm_codes(self, request: Request) -> Response:
        present, site, given = await self._forms.changing(request)
        try:
            codes = await self._door.confirm_codes(present, given.get("code", ""), site.visitor)
        except ApiError as error:
            return await self._account(request, present, error=error)
        parts = section(
            heading("One-time codes"),
            paragraph("From now on you are asked for a code when you sign in.", "good"),
            paragraph("Keep these recovery codes where you find them without your authenticator. Each works once."),
            listed(codes),
            links(("/account", "Done")),
        )
        return page("One-time codes", [parts])

    async def _end_codes(self, request: Request) -> Response:
        present, site, given = await self._forms.changing(request)
        try:
            await self._door.end_codes(present, given.get("password", ""), site.visitor)
        except ApiError as error:
            return await self._account(request, present, error=error)
        return await self._account(request, present, "You are not asked for codes any more.")

    async def _end_session(self, request: Request) -> Response:
        present, site, given = await self._forms.changing(request)
        await self._door.end_sessions(present, lambda each: each.id == given.get("id"), site.visitor)
        return to("/account")

    async def _sign_out(self, request: Request) -> Response:
        _, site, _ = await self._forms.changing(request)
        await self._door.sign_out(site.cookie())
        return self._signed_out(site)

    async def _sign_out_everywhere(self, request: Request) -> Response:
        present, site, _ = await self._forms.changing(request)
        await self._door.end_sessions(present, lambda _: True, site.visitor)
        return self._signed_out(site)

    async def _account(
        self, request: Request, present: Present, done: str = "", error: ApiError | None = None
    ) -> Response:
        sessions = await self._door.sessions(present.user.id)
        has_password, has_codes = await self._door.has_password(present.user), await self._door.has_codes(present.user)

        def shown(token: str) -> Response:
            present_password = Field("password", "Present password", "password", "current-password")
            current = (username(present.user.email), *([present_password] if has_password else []))
            new = Field("new_password", "New password, 12 characters or more", "password", "new-password")
            action, button = ("/account/codes/end", "Stop") if has_codes else ("/account/codes", "Set up")
            told = (
                "You are asked for a code when you sign in."
                if has_codes
                else "An authenticator's, besides the password."
            )
            parts = (
                section(
                    heading(present.user.name),
                    paragraph(f"Signed in as {present.user.email}."),
                    paragraph(done, "good") if done else "",
                    bad(error),
                    form("/account/sign-out", token, (), "Sign out"),
                ),
                section(heading("Password", 2), form("/account/password", token, (*current, new), "Set password")),
                section(heading("One-time codes", 2), paragraph(told), form(action, token, current, button)),
                section(
                    heading("Sessions", 2),
                    *(self._session_row(each, present, token) for each in sessions),
                    form("/account/sign-out-everywhere", token, (), "Sign out everywhere", style="plain"),
                ),
            )
            return page("Account", parts, wide=True, status=200 if error is None else error.status)

        return self._forms.with_token(self._guard.site(request), shown)

    def _session_row(self, session: Session, present: Present, token: str) -> str:
        seen = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(session.seen_at))
        where = ", ".join(filter(None, (session.address, session.agent)))
        here = "This session. " if session.id == present.session.id else ""
        end = form("/account/sessions", token, (), "End", {"id": session.id}, "plain")
        return row(f"{here}{where or 'unknown'}. By {session.means}; last seen {seen}.", end)

    def _signed_out(self, site: Site) -> Response:
        response = to("/")
        site.set_cookie(response, "")
        response.headers["clear-site-data"] = '"cache", "storage"'
        return response
