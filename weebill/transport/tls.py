"""TLS contexts: for the listening side, and for upstreams."""

from __future__ import annotations

import os
import ssl
from typing import Final

from weebill.config.schema import ServerSettings
from weebill.transport.origin import Trust

_MOST_CONTEXTS: Final = 256  # reloads may bring others
_Stamp = tuple[tuple[int, int], ...]  # modification times and sizes of the files


def server_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """Returns a context for the configured certificate, or None for plain HTTP. Raises OSError, ssl.SSLError."""
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context


class ClientContexts:
    """The contexts for upstreams, each kept while its files stay the same.

    `default` replaces the one of the system's trust store, which SSL_CERT_FILE and SSL_CERT_DIR of OpenSSL change.
    """

    def __init__(self, default: ssl.SSLContext | None) -> None:
        self._default = default
        self._known: dict[Trust, tuple[_Stamp, ssl.SSLContext]] = {}

    def of(self, trust: Trust) -> ssl.SSLContext:
        """Returns the context for a new connection. Raises OSError (ssl.SSLError) for unusable files."""
        if self._default is not None and trust == Trust():
            return self._default
        files = [os.stat(file) for file in (trust.ca_file, trust.client_cert, trust.client_key) if file]
        stamp = tuple((file.st_mtime_ns, file.st_size) for file in files)
        known = self._known.get(trust)
        if known is not None and known[0] == stamp:
            return known[1]
        if len(self._known) >= _MOST_CONTEXTS:
            self._known.clear()
        context = ssl.create_default_context(cafile=trust.ca_file or None)
        if not trust.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if trust.client_cert:
            context.load_cert_chain(trust.client_cert, trust.client_key or None, password=_refuse_password)
        self._known[trust] = stamp, context
        return context


def _refuse_password() -> str:
    # Without this, OpenSSL would block and ask for the passphrase of an encrypted key on the terminal.
    raise OSError("the key is encrypted; give one without a passphrase")
