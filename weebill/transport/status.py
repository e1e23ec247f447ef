"""Status lines, prebuilt."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

STATUS_LINES: Final = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())
    if status in HTTPStatus._value2member_map_
    else b"HTTP/1.1 %d Status\r\n" % status
    for status in range(100, 600)
}

# Never sent: the reason why a handler was cancelled. 499 is nginx's for a client that left first.
CLIENT_CLOSED_REQUEST: Final = 499
SHUTTING_DOWN: Final = 503

# Statuses whose responses have no body, whatever their headers say.
BODILESS: Final = frozenset({*range(100, 200), 204, 304})
