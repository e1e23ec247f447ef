"""An installation that people sign in to, without processes; and the people, each with a browser's cookies."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
from fastapi import FastAPI

from weebill.accounts.audit import Author
from weebill.accounts.keyring import KeyDirectory
from weebill.accounts.people import Issued, People
from weebill.accounts.pepper import read_pepper
from weebill.accounts.sign_in import SignIns
from weebill.config.accounts import AccountSettings, MailSettings, OpenIdSettings
from weebill.config.paths import Home
from weebill.config.schema import Settings
from weebill.control.app import create_app, mailer_of
from weebill.control.overview import Overview
from weebill.process.questions import Unanswered
from weebill.storage.database import Database
from weebill.storage.keys import find_active, keys_in
from weebill.storage.sign_in import sign_ins_in

ORIGIN: Final = "http://weebill.test"
CLERK: Final = Author(kind="command_line", id="uid:0", name="clerk")
EMAIL: Final = "ada@example.com"
PASSWORD: Final = "violet kettle marsh"
CSRF: Final = {"x-weebill-csrf": "1"}
MAIL: Final = MailSettings(host="localhost", tls="none", sender="weebill@weebill.test")
TOKEN: Final = re.compile(r"\?token=([\w-]+)")
FORM: Final = re.compile(r'<form method="post" action="([^"]+)">(.*?)</form>', re.DOTALL)
HIDDEN: Final = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)">')


async def nobody(topic: str, question: object) -> Any:
    raise Unanswered(f"nobody answers {topic}: {question}")


async def nothing() -> None:
    pass


def answers_of(ledger: Database) -> Callable[[str, object], Any]:
    """Answers questions about keys, as the ledger process does."""

    async def ask(topic: str, digest: object) -> msgspec.Raw:
        assert topic == "keys"
        assert isinstance(digest, bytes)
        found = find_active(ledger, digest)
        return msgspec.Raw(msgspec.msgpack.encode(found))

    return ask


@dataclass
class Place:
    home: Home
    ledger: Database
    app: FastAPI
    overview: Overview
    sign_ins: SignIns
    people: People

    @classmethod
    def make(cls, home: Home, ledger: Database) -> Place:
        keys_in(ledger, home, CLERK)
        pepper = read_pepper(home.pepper)
        overview = Overview(home, Settings())
        mailer = mailer_of(overview, ledger)
        app = create_app(overview, KeyDirectory(pepper, nobody), ledger, nobody, nobody, nothing, mailer)
        sign_ins = sign_ins_in(ledger, home, pepper)
        place = cls(home, ledger, app, overview, sign_ins, People(sign_ins))
        app.state.mailer = mailer
        place.set(AccountSettings(sign_up="invitation", origin=ORIGIN))
        return place

    def set(
        self,
        accounts: AccountSettings | None = None,
        mail: MailSettings | None = None,
        openid: OpenIdSettings | None = None,
    ) -> None:
        given = {"accounts": accounts, "mail": mail, "openid": openid}
        changed = {name: each for name, each in given.items() if each is not None}
        self.overview.settings = msgspec.structs.replace(self.overview.settings, **changed)

    def browser(self, address: str = "192.0.2.1", origin: str = ORIGIN, **headers: str) -> Browser:
        return Browser(self.app, address, origin, headers)

    def link(self, email: str | None = None) -> str:
        return self.people.link(email, CLERK).token

    def invite(self, email: str = EMAIL, role: str = "admin") -> Issued:
        return self.people.invite("org_default", email, role, CLERK)

    async def member(self, email: str = EMAIL, role: str = "admin", password: str = PASSWORD) -> Browser:
        """Somebody who has accepted an invitation, and so is signed in."""
        given = {"token": self.invite(email, role).token, "name": "Ada", "password": password}
        browser = self.browser()
        async with self.browser() as joining:
            joined = await joining.post("/api/v1/auth/join", json=given)
            assert joined.status_code == 200, joined.text
            browser.cookies.update(joining.cookies)
        return browser


class Browser(httpx.AsyncClient):
    """Sends what a browser sends, from a page of this installation unless told otherwise."""

    def __init__(self, app: FastAPI, address: str, origin: str, headers: dict[str, str]) -> None:
        parts = urlsplit(origin)
        forwarded = {
            "x-forwarded-for": address,
            "x-forwarded-host": parts.netloc,
            "x-forwarded-proto": parts.scheme,
            "user-agent": "Mozilla/5.0 (test)",
        }
        super().__init__(transport=httpx.ASGITransport(app), base_url=origin, headers=forwarded | headers)

    def session_cookie(self) -> tuple[str, str]:
        """The name and the value of the session's cookie."""
        (found,) = [
            (each.name, each.value or "")
            for each in self.cookies.jar
            if "weebill" in each.name and "-form" not in each.name and "-openid" not in each.name
        ]
        return found

    async def send_form(self, page: httpx.Response, action: str, **fields: str) -> httpx.Response:
        """Fills in the form of a page, and sends it."""
        hidden = next(dict(HIDDEN.findall(inner)) for to, inner in FORM.findall(page.text) if to == action)
        hidden = {name: unescape(value) for name, value in hidden.items()}
        return await self.post(action, data=hidden | fields)

    async def sign_in(self, email: str = EMAIL, password: str = PASSWORD, code: str = "") -> httpx.Response:
        given = {"email": email, "password": password, "code": code}
        return await self.post("/api/v1/auth/sign-in", json=given)

    async def who(self) -> str | None:
        """The address of who has signed in."""
        found = (await self.get("/api/v1/auth/session")).json()["signed_in"]
        return None if found is None else str(found["user"]["email"])


def token_in(text: str) -> str:
    """The one-time token in a mail."""
    found = TOKEN.search(text)
    assert found is not None, text
    return parse_qs(f"token={found[1]}")["token"][0]
