"""The pages by which people sign in and up, without JavaScript."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import urlencode

from fastapi import Request, Response

from weebill.accounts.tenants import User
from weebill.control.routing import Routes
from weebill.control.sign_in.cookies import Site
from weebill.control.sign_in.door import Door
from weebill.control.sign_in.form_pages import FormPages, bad, local_path, to
from weebill.control.sign_in.forms import Field, form, heading, links, page, paragraph, section, username
from weebill.control.sign_in.guard import Guard
from weebill.control.sign_in.openid import CALLBACK, FLOW_S
from weebill.wire.errors import ApiError


class Pages:
    """The pages. What is refused is said on the page on which it was asked."""

    def __init__(self, door: Door, guard: Guard, forms: FormPages) -> None:
        self._door = door
        self._guard = guard
        self._forms = forms
        self.routes: Routes = {
            "GET,HEAD /sign-in": self._sign_in_page,
            "POST /sign-in": self._sign_in,
            "GET,HEAD /sign-up": self._sign_up_page,
            "POST /sign-up": self._sign_up,
            "GET,HEAD /join": self._join_page,
            "POST /join": self._join,
            "GET,HEAD /reset": self._reset_page,
            "POST /reset": self._reset,
            "GET /sign-in/openid": self._begin_openid,
            f"GET {CALLBACK}": self._end_openid,
        }

    async def open_by_link(self, request: Request, token: str) -> Response:
        """Signs in by a one-time link, and leads to the address without it."""
        site = self._guard.site(request)
        try:
            opened = await self._door.open_by_link(token, site.visitor, site.cookie())
        except ApiError as error:
            parts = section(heading("Sign in"), bad(error), links(("/sign-in", "Sign in"), ("/", "Status page")))
            return page("Sign in", [parts], status=error.status)
        return self._forms.opened(site, opened, "/")

    async def _sign_in_page(self, request: Request) -> Response:
        after = local_path(request.query_params.get("next", ""))
        if await self._guard.present(request) is not None:
            return to(after)
        return self._sign_in_form(self._guard.site(request), after)

    def _sign_in_form(self, site: Site, after: str, email: str = "", error: ApiError | None = None) -> Response:
        def shown(token: str) -> Response:
            fields = (
                Field("email", "E-mail address", "email", "username", email),
                Field("password", "Password", "password", "current-password"),
                Field("code", "One-time code, if you have set one up", "text", "one-time-code", required=False),
            )
            ways = [("/reset", "Forgotten the password?")] if self._door.mails else []
            ways += [("/sign-up", "Sign up")] if self._door.settings.sign_up == "open" else []
            provider = self._door.openid_name
            others = [("/sign-in/openid?" + urlencode({"next": after}), f"Sign in with {provider}")] if provider else []
            parts = section(
                heading("Sign in"),
                bad(error),
                form("/sign-in", token, fields, "Sign in", {"next": after}),
                links(*others, *ways) if others or ways else "",
            )
            return page("Sign in", [parts], status=200 if error is None else error.status)

        return self._forms.with_token(site, shown)

    async def _sign_in(self, request: Request) -> Response:
        site, given = await self._forms.given(request)
        after = local_path(given.get("next", ""))
        try:
            opened = await self._door.sign_in(
                given.get("email", ""), given.get("password", ""), given.get("code", ""), site.visitor, site.cookie()
            )
        except ApiError as error:
            return self._sign_in_form(site, after, given.get("email", ""), error)
        return self._forms.opened(site, opened, after)

    async def _begin_openid(self, request: Request) -> Response:
        site = self._guard.site(request)
        try:
            address, flow = await self._door.begin_openid(local_path(request.query_params.get("next", "")))
        except ApiError as error:
            return self._sign_in_form(site, "/", error=error)
        response = to(address)
        site.set_cookie(response, flow, "-openid", lasts_s=FLOW_S)
        return response

    async def _end_openid(self, request: Request) -> Response:
        site, query = self._guard.site(request), dict(request.query_params)
        try:
            opened, after = await self._door.end_openid(query, site.cookie("-openid"), site.visitor, site.cookie())
        except ApiError as error:
            response = self._sign_in_form(site, "/", error=error)
        else:
            response = self._forms.opened(site, opened, local_path(after))
        site.set_cookie(response, "", "-openid")
        return response

    async def _sign_up_page(self, request: Request) -> Response:
        return self._address_form(self._guard.site(request), "/sign-up", "Sign up", _SIGN_UP)

    async def _sign_up(self, request: Request) -> Response:
        return await self._asked(request, "/sign-up", "Sign up", _SIGN_UP, self._door.sign_up)

    async def _reset_page(self, request: Request) -> Response:
        site, token = self._guard.site(request), request.query_params.get("token", "")
        if token:
            return self._new_password_form(site, token)
        return self._address_form(site, "/reset", "A new password", _RESET)

    async def _reset(self, request: Request) -> Response:
        site, given = await self._forms.given(request)
        token = given.get("token", "")
        if not token:
            return await self._asked(request, "/reset", "A new password", _RESET, self._door.ask_for_reset, given)
        try:
            await self._door.reset(token, given.get("password", ""), site.visitor)
        except ApiError as error:
            return self._new_password_form(site, token, error)
        done = paragraph("Your password is set. You are signed out everywhere.", "good")
        return page("A new password", [section(heading("A new password"), done, links(("/sign-in", "Sign in")))])

    async def _join_page(self, request: Request) -> Response:
        return await self._join_form(self._guard.site(request), request.query_params.get("token", ""))

    async def _join(self, request: Request) -> Response:
        site, given = await self._forms.given(request)
        token = given.get("token", "")
        try:
            joined = await self._door.join(token, given.get("name", ""), given.get("password", ""), site.visitor)
        except ApiError as error:
            return await self._join_form(site, token, error, given.get("name", ""))
        if isinstance(joined, User):
            done = paragraph("You have joined. Sign in to go on.", "good")
            return page("Welcome", [section(heading("Welcome"), done, links(("/sign-in", "Sign in")))])
        return self._forms.opened(site, joined, "/")

    def _address_form(self, site: Site, path: str, title: str, told: str, error: ApiError | None = None) -> Response:
        def shown(token: str) -> Response:
            field = Field("email", "E-mail address", "email", "username")
            parts = section(
                heading(title), paragraph(told), bad(error), form(path, token, (field,), "Send the mail"), _BACK
            )
            return page(title, [parts], status=200 if error is None else error.status)

        return self._forms.with_token(site, shown)

    async def _asked(
        self,
        request: Request,
        path: str,
        title: str,
        told: str,
        ask: Callable[..., Awaitable[None]],
        given: dict[str, str] | None = None,
    ) -> Response:
        site = self._guard.site(request)
        if given is None:
            site, given = await self._forms.given(request)
        try:
            await ask(given.get("email", ""), site.visitor)
        except ApiError as error:
            return self._address_form(site, path, title, told, error)
        sent = paragraph(
            "A mail is on its way, if this address can have one. Its link is valid for a short time.", "good"
        )
        return page(title, [section(heading(title), sent, _BACK)])

    def _new_password_form(self, site: Site, token: str, error: ApiError | None = None) -> Response:
        def shown(form_token: str) -> Response:
            field = Field("password", "New password, 12 characters or more", "password", "new-password")
            parts = section(
                heading("A new password"),
                bad(error),
                form("/reset", form_token, (field,), "Set password", {"token": token}),
                _BACK,
            )
            return page("A new password", [parts], status=200 if error is None else error.status)

        return self._forms.with_token(site, shown)

    async def _join_form(self, site: Site, token: str, error: ApiError | None = None, name: str = "") -> Response:
        try:
            ticket = await self._door.ticket(token)
        except ApiError as invalid:
            return page("Welcome", [section(heading("Welcome"), bad(invalid), _BACK)], status=invalid.status)

        def shown(form_token: str) -> Response:
            fields = (
                username(ticket.email),
                Field("name", "Your name", "text", "name", name, required=False),
                Field("password", "A password, 12 characters or more", "password", "new-password", required=False),
            )
            parts = section(
                heading("Welcome"),
                paragraph(f"You join as {ticket.email}. If you have a user here already, leave the fields empty."),
                bad(error),
                form("/join", form_token, fields, "Join", {"token": token}),
            )
            return page("Welcome", [parts], status=200 if error is None else error.status)

        return self._forms.with_token(site, shown)


_SIGN_UP: Final = "We mail you a link that confirms your address."
_RESET: Final = "We mail you a link by which you set a new password."
_BACK: Final = links(("/sign-in", "Sign in"), ("/", "Status page"))
