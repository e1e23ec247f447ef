"""Messages to an organisation: to its webhook, signed as the Standard Webhooks specification has it, or by mail.

A secret is derived from the installation's pepper, so none is stored; making another one is counting on.
"""

from __future__ import annotations

import base64
import hmac
import ipaddress
import socket
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from weebill.billing.errors import BadCreditError
from weebill.billing.money import MOST_BALANCE
from weebill.config.accounts import is_address
from weebill.config.proxies import is_loopback
from weebill.images.fetching import is_public

DELAYS_S: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""The waits between attempts: ten of them, over some three days."""
_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - no secret
_MOST_URL: Final = 1000


class Alert(NamedTuple):
    """Tells an organisation of a balance below `low_nano`, at `url` and at the address `mail`, where they are not "".

    `secrets` counts the secrets it has had.
    """

    low_nano: int | None
    url: str
    secrets: int
    mail: str = ""


class Target(NamedTuple):
    """The webhook of an organisation, and the number of its secret."""

    organisation: str
    url: str
    secret: int


class Delivery(NamedTuple):
    """A message on its way, by mail if `mail` is an address; `attempt` counts from 1."""

    number: int
    message: str
    body: str
    attempt: int
    target: Target
    mail: str = ""

    @property
    def next_in_s(self) -> int | None:
        """The seconds until the next attempt if this one fails; None if it is the last."""
        return DELAYS_S[self.attempt - 1] if self.attempt <= len(DELAYS_S) else None


def secret_of(pepper: bytes, organisation: str, number: int) -> str:
    """Returns the secret that an organisation's messages are signed with."""
    derived = hmac.digest(pepper, f"webhook {organisation} {number}".encode(), "sha256")
    return _SECRET_PREFIX + base64.b64encode(derived).decode()


def headers_of(message: str, at: int, body: bytes, secret: str) -> dict[str, str]:
    """Returns the headers by which a receiver knows who has sent a message, when, and that nothing was changed."""
    key = base64.b64decode(secret.removeprefix(_SECRET_PREFIX))
    signed = hmac.digest(key, f"{message}.{at}.".encode() + body, "sha256")
    signature = f"v1,{base64.b64encode(signed).decode()}"
    return {"webhook-id": message, "webhook-timestamp": str(at), "webhook-signature": signature}


def check_alert(low_nano: int | None, url: str, mail: str = "", *, private: bool = False) -> None:
    """Raises BadCreditError for a balance that cannot be, or an address that no message can be sent to.

    A webhook's that is seen to be on this machine or in a private network is no such, unless `private`; where a name
    leads is seen only when it is called.
    """
    if low_nano is not None and abs(low_nano) > MOST_BALANCE:
        raise BadCreditError("No balance can be as high as that.", "below")
    if mail and not is_address(mail):
        raise BadCreditError("An address for mails is like billing@example.com.", "mail")
    if not url:
        return
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and parts.username is None
    except ValueError:
        fits = False
    if not fits or len(url) > _MOST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise BadCreditError("A webhook's address is like https://example.com/hook.", "url")
    if not private and _is_seen_private((parts.hostname or "").rstrip(".")):
        message = "A webhook is on the public internet; [credits] private_webhooks allows others."
        raise BadCreditError(message, "url")


def _is_seen_private(host: str) -> bool:
    if is_loopback(host):
        return True
    try:  # all ways to write an address, such as 127.1, and no name
        found = socket.getaddrinfo(host.partition("%")[0], None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return False
    return not all(is_public(ipaddress.ip_address(at[0])) for *_, at in found)
