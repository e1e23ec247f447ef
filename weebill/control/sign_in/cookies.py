"""The cookies of sessions and forms, and the proof that a request comes from a page of this installation."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, Literal
from urllib.parse import urlsplit

from fastapi import Response
from starlette.requests import HTTPConnection

from weebill.accounts.sessions import Visitor
from weebill.config.accounts import AccountSettings
from weebill.wire.errors import ApiError

CSRF_HEADER: Final = "x-weebill-csrf"
"""Has to be there, with any value, where a session's cookie is sent with a change: other sites' forms cannot add it."""
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})

Kind = Literal["", "-form", "-openid"]

_PERSON: Final = b"weebill.form"
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


class Site:
    """The installation as a request has addressed it."""

    def __init__(self, request: HTTPConnection, accounts: AccountSettings) -> None:
        headers = request.headers
        self._request = request
        self.host = headers.get("x-forwarded-host") or headers.get("host", "")
        scheme = headers.get("x-forwarded-proto", "http")
        public = urlsplit(accounts.origin)
        # A proxy before this installation may have ended TLS.
        self.secure = scheme == "https" or (public.scheme == "https" and public.netloc == self.host)
        self.origin = accounts.origin if public.netloc == self.host else f"{scheme}://{self.host}"
        self.origins = {f"{scheme}://{self.host}", self.origin}

    @property
    def visitor(self) -> Visitor:
        """The place that the request comes from."""
        headers = self._request.headers
        return Visitor(headers.get("x-forwarded-for", ""), headers.get("user-agent", ""))

    def cookie(self, kind: Kind = "") -> str:
        """Returns the value of a cookie, "" if it was not sent."""
        return self._request.cookies.get(self.cookie_name(kind), "")

    def cookie_name(self, kind: Kind) -> str:
        """Returns a cookie's name. Browsers give cookies to all ports of a host, so without TLS the port is in it."""
        if self.secure:
            return f"__Host-weebill{kind}"
        return f"weebill{kind}-{urlsplit(f'//{self.host}').netloc.rpartition(':')[2] or _DEFAULT_PORTS['http']}"

    def set_cookie(self, response: Response, value: str, kind: Kind = "", lasts_s: int | None = None) -> None:
        """Has the browser keep a cookie; one of "" is forgotten."""
        response.set_cookie(
            self.cookie_name(kind),
            value,
            max_age=lasts_s if value else 0,
            path="/",
            secure=self.secure,
            httponly=True,
            samesite="lax",  # or a link from elsewhere would find nobody signed in
        )

    def comes_from_here(self) -> bool:
        """True unless a browser says that the request comes from a page of another site."""
        headers: Mapping[str, str] = self._request.headers
        site, origin = headers.get("sec-fetch-site"), headers.get("origin")
        if site is not None:
            return site == "same-origin"
        return origin is None or origin in self.origins

    def require_own(self, *, header: bool) -> None:
        """Raises ApiError 403 unless the request is from a page of this installation, or from no browser.

        With `header`, `CSRF_HEADER` has to be there as well.
        """
        if not self.comes_from_here():
            raise ApiError(403, "This request comes from a page of another site.", code="cross_site_request")
        if header and not self._request.headers.get(CSRF_HEADER):
            message = f"A change with a session's cookie needs the header `{CSRF_HEADER}: 1`."
            raise ApiError(403, message, code="csrf_header_required")


class FormTokens:
    """Tokens in forms, each bound to the cookie of its browser and to the session, if there is one."""

    def __init__(self, pepper: bytes) -> None:
        self._key = blake2b(key=pepper, digest_size=32, person=_PERSON).digest()

    def new(self, site: Site) -> tuple[str, str]:
        """Returns the cookie that the browser is to have, and the token for a form."""
        cookie = site.cookie("-form") or secrets.token_urlsafe(16)
        return cookie, self._token(cookie, site.cookie())

    def check(self, site: Site, given: str) -> None:
        """Raises ApiError 403 unless the token is that of this browser and session, and the form is from here."""
        site.require_own(header=False)
        cookie = site.cookie("-form")
        if not cookie or not secrets.compare_digest(self._token(cookie, site.cookie()).encode(), given.encode()):
            message = "This form was opened elsewhere or long ago: go back, reload the page and send it again."
            raise ApiError(403, message, code="form_token_invalid")

    def _token(self, cookie: str, session: str) -> str:
        return blake2b(f"{cookie}\0{session}".encode(), key=self._key, digest_size=24).hexdigest()
