"""All routes of signing in, put together."""

from __future__ import annotations

from fastapi import Request, Response

from weebill.accounts.sign_in import SignIns
from weebill.control.overview import Overview
from weebill.control.routing import Routes
from weebill.control.sign_in.account_pages import AccountPages
from weebill.control.sign_in.api import AuthRoutes
from weebill.control.sign_in.cookies import FormTokens
from weebill.control.sign_in.door import Door
from weebill.control.sign_in.form_pages import FormPages
from weebill.control.sign_in.guard import Guard
from weebill.control.sign_in.mailing import Mailer
from weebill.control.sign_in.openid import OpenId
from weebill.control.sign_in.pages import Pages


class SignInRoutes:
    """The pages, the endpoints under `/api/v1`, and the guard that finds who has signed in."""

    def __init__(self, overview: Overview, sign_ins: SignIns, pepper: bytes, mailer: Mailer) -> None:
        self.guard = Guard(overview, sign_ins)
        self.door = Door(overview, sign_ins, mailer, OpenId(pepper))
        forms = FormPages(self.door, self.guard, FormTokens(pepper))
        self._pages = Pages(self.door, self.guard, forms)
        self.pages: Routes = {**self._pages.routes, **AccountPages(self.door, self.guard, forms).routes}
        self.api = AuthRoutes(self.door, self.guard).routes

    async def open_by_link(self, request: Request, token: str) -> Response:
        """Signs in by a one-time link, as the address of the status page has it."""
        return await self._pages.open_by_link(request, token)
