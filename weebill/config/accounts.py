"""Settings of how people sign in, and their checks."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from weebill.config.problems import Locate, Problem
from weebill.config.section import PositiveSeconds, Section

Port = Annotated[int, Meta(ge=1, le=65535)]
_ADDRESS: Final = re.compile(r"[^\s@<>\"]+@[^\s@<>\"]+")
_LONGEST_ADDRESS: Final = 254
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


class AccountSettings(Section, frozen=True, kw_only=True):
    """`[accounts]`: who may come to have a user, and how long people stay signed in.

    `origin` is the address of this installation in links that are mailed, such as `https://llm.example.com`. A session
    ends after `session_idle_s` without use, and after `session_s` at all events. Where sign-up is open, an organisation
    that somebody has made so begins with `sign_up_credits` dollars, and is refused what costs more.
    """

    sign_up: Literal["closed", "invitation", "open"] = "closed"
    sign_up_credits: Annotated[float, Meta(ge=0, le=1_000_000)] | Literal["unlimited"] = 0.0
    origin: str = ""
    session_idle_s: PositiveSeconds = 86_400.0
    session_s: PositiveSeconds = 2_592_000.0

    @property
    def sign_up_nano(self) -> int | None:
        """The nano-dollars that an organisation begins with; None if it is not refused for want of them."""
        return None if self.sign_up_credits == "unlimited" else round(float(self.sign_up_credits) * 1e9)


class OpenIdSettings(Section, frozen=True, kw_only=True):
    """`[openid]`: a provider that people may sign in with. `client_secret` is a literal, `env:NAME` or `file:PATH`.

    `issuer` is the provider's address, from which its configuration is read; `name` is what the page calls it.
    """

    issuer: str = ""
    client_id: str = ""
    client_secret: str | None = None
    name: str = "OpenID"

    def __repr__(self) -> str:
        return f"OpenIdSettings(issuer={self.issuer!r}, client_id={self.client_id!r})"


class MailSettings(Section, frozen=True, kw_only=True):
    """`[mail]`: the SMTP server that mails are given to. `password` is a literal, `env:NAME` or `file:PATH`.

    `tls` is "starttls", "implicit" from the first byte on, or "none", which is for this machine alone.
    """

    host: str = ""
    port: Port = 587
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    user: str = ""
    password: str | None = None
    sender: str = ""
    timeout_s: PositiveSeconds = 30.0

    def __repr__(self) -> str:
        return f"MailSettings(host={self.host!r}, port={self.port}, sender={self.sender!r})"


def is_address(text: str) -> bool:
    """True for what a mail can be sent to."""
    return bool(_ADDRESS.fullmatch(text)) and text.isascii() and len(text) <= _LONGEST_ADDRESS and "," not in text


def check_accounts(
    accounts: AccountSettings, openid: OpenIdSettings, mail: MailSettings, locate: Locate
) -> Iterator[Problem]:
    """Yields the problems of well-typed settings."""
    if accounts.origin and not _is_origin(accounts.origin):
        what = "`accounts.origin` must be like `https://llm.example.com`, without a path"
        yield Problem(locate(("accounts", "origin")), what)
    if accounts.sign_up == "open" and not mail.host:
        what = '`accounts.sign_up = "open"` needs `mail.host`: addresses are confirmed by mail'
        yield Problem(locate(("accounts", "sign_up")), what)
    if (mail.host or openid.issuer) and not accounts.origin:
        which = "mail.host" if mail.host else "openid.issuer"
        what = f"`{which}` needs `accounts.origin`, the address of this installation for links"
        yield Problem(locate(tuple(which.split("."))), what)
    yield from _check_openid(openid, locate)
    yield from _check_mail(mail, locate)


def _check_openid(openid: OpenIdSettings, locate: Locate) -> Iterator[Problem]:
    if not openid.issuer:
        return
    parts = urlsplit(openid.issuer)
    if not parts.hostname or parts.scheme not in ("https", "http") or parts.query or parts.fragment:
        yield Problem(locate(("openid", "issuer")), "`openid.issuer` must be like `https://id.example.com`")
    elif parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        yield Problem(locate(("openid", "issuer")), "`openid.issuer` must be https, unless it is this machine")
    if not openid.client_id:
        what = "`openid.issuer` needs `openid.client_id`, by which the provider knows this installation"
        yield Problem(locate(("openid", "issuer")), what)
    if any(importlib.util.find_spec(name) is None for name in ("authlib", "httpx")):
        yield Problem(locate(("openid", "issuer")), "`openid.issuer` needs Authlib: pip install 'weebill[openid]'")


def _check_mail(mail: MailSettings, locate: Locate) -> Iterator[Problem]:
    if not mail.host:
        return
    if not _ADDRESS.fullmatch(mail.sender):
        what = "`mail.sender` must be the address that mails come from, such as `weebill@example.com`"
        yield Problem(locate(("mail", "sender")), what)
    if bool(mail.user) != (mail.password is not None):
        yield Problem(locate(("mail", "user")), "`mail.user` and `mail.password` go together")
    if mail.tls == "none" and mail.host not in _LOOPBACK:
        what = '`mail.tls = "none"` would send passwords and tokens in clear text; it is for this machine alone'
        yield Problem(locate(("mail", "tls")), what)


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(
            parts.scheme in ("http", "https")
            and parts.hostname
            and parts.port != 0
            and text == f"{parts.scheme}://{parts.netloc}"
            and "@" not in parts.netloc
        )
    except ValueError:
        return False
