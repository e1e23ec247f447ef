"""Requests with OPTIONS that the server answers itself."""

from __future__ import annotations

from weebill.transport.cors import Cors, preflight_lines
from weebill.transport.exchange import Exchange
from weebill.wire.errors import ApiError


def answer_options(exchange: Exchange, cors: Cors) -> bool:
    """Answers a preflight, or a question about the whole server; False if it is neither."""
    origin = exchange.header(b"origin")
    if origin is not None and exchange.header(b"access-control-request-method") is not None:
        if cors.allows(origin):
            exchange.respond(204, preflight_lines(exchange.head.fields), b"")
        else:
            exchange.fail(ApiError(403, "This origin is not in server.cors_origins.", code="origin_not_allowed"))
        return True
    if exchange.path == b"*":
        exchange.respond(204, b"", b"")
        return True
    return False
