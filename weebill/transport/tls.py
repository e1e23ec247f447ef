"""TLS for the listening side."""

from __future__ import annotations

import ssl

from weebill.config.schema import ServerSettings


def server_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """A context for the configured certificate, or None for plain HTTP. Raises OSError, ssl.SSLError."""
    if settings.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(settings.tls_cert, settings.tls_key)
    return context
