"""One request for a file: redirects that keep secrets, and what each failure means to a person.

Proxies and certificates are those of the environment. A token is sent to the server that it is for and to no other,
and is in no message.
"""

from __future__ import annotations

import contextlib
import email.utils
import ssl
import time
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from weebill.models.errors import (
    AccessError,
    CertificateError,
    GatedError,
    GoneError,
    LibraryMissingError,
    ModelError,
    NetworkError,
    NotFoundError,
    RateLimitError,
    RedirectError,
    ServerError,
)

if TYPE_CHECKING:
    import httpx2

_MOST_REDIRECTS: Final = 10
# Statuses that may pass by themselves.
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_TOKEN_HELP: Final = "make a token at {site}/settings/tokens and set it as HF_TOKEN"  # noqa: S105 - no secret


class Remote(msgspec.Struct, frozen=True, kw_only=True):
    """A file of a server. `token` is for the server of `url` alone; `page` is where a person can look."""

    url: str
    page: str
    token: str = ""
    is_hub: bool = False

    def __repr__(self) -> str:  # the generated one would show the token
        return f"Remote({self.page})"


class Passing(Exception):  # noqa: N818 - no error yet: tried again, and only then `error`
    """A failure that may pass: `error` is what it means if it does not, `wait_s` what the server asked to wait."""

    def __init__(self, error: ModelError, wait_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait_s = wait_s


@cache
def client_of(silence_s: float) -> httpx2.Client:
    """Returns this process's client that gives up a connection after `silence_s` seconds without a byte."""
    try:
        import httpx2
    except ImportError:
        raise LibraryMissingError("httpx2") from None
    # Compressed bytes are not those that a hash is of.
    headers = {"user-agent": "weebill", "accept-encoding": "identity"}
    return httpx2.Client(timeout=httpx2.Timeout(silence_s), headers=headers)


@contextlib.contextmanager
def opened(client: httpx2.Client, remote: Remote, headers: dict[str, str]) -> Iterator[httpx2.Response]:
    """Yields the answer, whose body is yet to be read: 200, 206 or 416. Raises Passing or a ModelError."""
    import httpx2

    url, seen = httpx2.URL(remote.url), set[str]()
    with failures_as_errors(remote), contextlib.ExitStack() as stack:
        for _ in range(_MOST_REDIRECTS):
            seen.add(str(url))
            sent = headers | _authorization(remote, url)
            response = stack.enter_context(client.stream("GET", url, headers=sent))
            if not response.is_redirect:
                if response.status_code not in (200, 206, 416):
                    raise failure(remote, response.status_code, response.headers)
                yield response
                return
            onward = url.join(response.headers["location"])
            if onward.scheme != "https" and (url.scheme, onward.scheme) != ("http", "http"):
                raise RedirectError(
                    f"{url.host} redirects {remote.page} to a connection that is not private, which Weebill does not "
                    "follow. Find another source of the model."
                )
            if str(onward) in seen:
                break
            stack.close()
            url = onward
    raise RedirectError(
        f"{remote.page} was moved in a circle: its redirects lead nowhere. Open it in a browser to see where the model "
        "is now, and name that."
    )


@contextlib.contextmanager
def failures_as_errors(remote: Remote) -> Iterator[None]:
    """Turns failures of the connection into Passing, or into CertificateError."""
    import httpx2

    host = urlsplit(remote.url).hostname
    try:
        yield
    except httpx2.TransportError as error:
        if _is_of_certificate(error):
            raise CertificateError(
                f"The certificate of {host} was refused ({error}). Behind a proxy that inspects connections, name its "
                "authority by SSL_CERT_FILE; otherwise check this machine's date."
            ) from None
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise Passing(
            NetworkError(
                f"{host} was not reached, or the connection broke ({reason}). Check the network, and the proxy by "
                "HTTPS_PROXY and NO_PROXY; then run the command again: it goes on where it ended."
            )
        ) from None
    except httpx2.InvalidURL as error:
        raise RedirectError(f"{host} redirects {remote.page} to what is no address ({error}).") from None


def failure(remote: Remote, status: int, headers: httpx2.Headers) -> Exception:
    """Returns what a status means: a Passing, or a ModelError for good."""
    error = _error(remote, status, headers)
    return Passing(error, retry_after(headers.get("retry-after", ""))) if status in _PASSING else error


def retry_after(value: str) -> float | None:
    """Returns the seconds that a `Retry-After` asks to wait, given as seconds or as a date; None without it."""
    if value.isdecimal():
        return float(value[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return None


def _error(remote: Remote, status: int, headers: httpx2.Headers) -> ModelError:
    parts = urlsplit(remote.url)
    site, host = f"{parts.scheme}://{parts.netloc}", parts.hostname
    code, token_help = headers.get("x-error-code", ""), _TOKEN_HELP.format(site=site)
    match status:
        case 401 | 403 if remote.is_hub and code == "GatedRepo":
            signed_in = "" if remote.token else f" Then {token_help}."
            return GatedError(
                f"The maker of this model grants access by itself. Accept its terms at {remote.page} and wait until it "
                f"is granted.{signed_in}"
            )
        case 401 if remote.is_hub and remote.token and code != "RepoNotFound":
            return AccessError(f"{host} refused the token for {remote.page}: it is wrong or has expired; {token_help}.")
        case 401 if remote.is_hub:
            return AccessError(
                f"{host} shows nothing at {remote.page}: there is no such model, or it is private. Check the name; if "
                f"it is private, {token_help}."
            )
        case 401:
            return AccessError(f"{host} wants to know who asks for {remote.page}. Open it in a browser to see how.")
        case 403 if remote.is_hub:
            return AccessError(f"{host} does not let this token read {remote.page}; {token_help} that may read it.")
        case 403:
            return AccessError(
                f"{host} refuses to give {remote.page}. A signed address may have expired: get a new one."
            )
        case 404 if code == "RevisionNotFound":
            return NotFoundError(f"{remote.page} has no such revision. Leave out what is after '@', or look there.")
        case 404 if remote.is_hub and remote.token:
            return NotFoundError(
                f"{host} shows nothing at {remote.page}: there is no such model, or this token may not see it. Check "
                f"the name and the token's rights at {site}/settings/tokens."
            )
        case 404:
            return NotFoundError(f"{host} has no {remote.page}. Check the name, or search the site for the model.")
        case 410:
            return GoneError(f"{host} says that {remote.page} was removed for good. Find another source of the model.")
        case 429:
            more = "" if remote.token or not remote.is_hub else f"; with a token more is allowed: {token_help}"
            return RateLimitError(f"{host} is asked too often from here. Try again in some minutes{more}.")
        case 451:
            return GoneError(f"{host} may not give {remote.page} for legal reasons. Find another source of the model.")
        case _ if status >= 500 or status in _PASSING:
            return ServerError(f"{host} has failed (status {status}). Try again later: it goes on where it ended.")
        case _:
            return ServerError(f"{host} answers {remote.page} with status {status}. Open it in a browser to see why.")


def _authorization(remote: Remote, url: httpx2.URL) -> dict[str, str]:
    import httpx2

    home = httpx2.URL(remote.url)
    same = (url.scheme, url.host, url.port) == (home.scheme, home.host, home.port)
    return {"authorization": f"Bearer {remote.token}"} if remote.token and same else {}


def _is_of_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
