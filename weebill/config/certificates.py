"""Checks of certificates and keys: the files must exist, be PEM, and belong together.

OpenSSL is imported only if there is something to check.
"""

from __future__ import annotations

from collections.abc import Iterator

from weebill.config.problems import Locate, Problem
from weebill.config.schema import ProviderSettings, ServerSettings


def check_server(server: ServerSettings, locate: Locate) -> Iterator[Problem]:
    """Yields the problems of Weebill's own certificate."""
    if server.tls_cert is None and server.tls_key is None:
        return
    if server.tls_cert is None or server.tls_key is None:
        given, missing = ("tls_key", "tls_cert") if server.tls_cert is None else ("tls_cert", "tls_key")
        yield Problem(locate(("server", given)), f"`server.{given}` needs `server.{missing}` too")
        return
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            server.tls_cert, server.tls_key, password=_refuse_password
        )
    except ssl.SSLError as error:
        problem = f"`server.tls_cert` and `server.tls_key` are not a certificate and its key in PEM: {error.reason}"
        yield Problem(locate(("server", "tls_cert")), problem)
    except (OSError, ValueError) as error:
        unreadable = [path for path in (server.tls_cert, server.tls_key) if not _readable(path)]
        problem = f"`server.tls_cert`, `server.tls_key`: cannot use {' and '.join(unreadable) or 'them'}: {error}"
        yield Problem(locate(("server", "tls_cert")), problem)


def check_upstream(name: str, provider: ProviderSettings, locate: Locate) -> Iterator[Problem]:
    """Yields the problems of a provider's trusted certificates and client certificate."""
    path = ("providers", name)
    at = f"providers.{name}"
    given = [field for field in ("ca_file", "client_cert", "client_key") if getattr(provider, field) is not None]
    if given and provider.base_url.startswith("http://"):
        yield Problem(locate((*path, given[0])), f"`{at}.{given[0]}` is of use only where `base_url` is https")
        return
    if provider.client_key is not None and provider.client_cert is None:
        yield Problem(locate((*path, "client_key")), f"`{at}.client_key` needs `{at}.client_cert` too")
        return
    if provider.ca_file is not None and not provider.verify:
        yield Problem(locate((*path, "ca_file")), f"`{at}.ca_file` says whom to trust; with `verify = false`, all are")
    for field in given:
        if problem := _file_problem(getattr(provider, field)):
            yield Problem(locate((*path, field)), f"`{at}.{field}` {problem}")
            return
    if not given:
        return
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if provider.ca_file is not None:
        try:
            context.load_verify_locations(provider.ca_file)
        except OSError:
            yield Problem(locate((*path, "ca_file")), f"`{at}.ca_file` holds no certificates in PEM")
    if provider.client_cert is not None:
        try:
            context.load_cert_chain(provider.client_cert, provider.client_key, password=_refuse_password)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            what = f"`{at}.client_cert` and its key are not a certificate and its key in PEM: {reason}"
            yield Problem(locate((*path, "client_cert")), what)


def _file_problem(path: str) -> str:
    try:
        with open(path, "rb"):
            return ""
    except OSError as error:
        return f"cannot be read: {path}: {error.strerror}"


def _refuse_password() -> str:
    # Without this, OpenSSL would block and ask for the passphrase of an encrypted key on the terminal.
    raise ValueError("the key is encrypted; give one without a passphrase")


def _readable(path: str) -> bool:
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False
