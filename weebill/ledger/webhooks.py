"""Calls organisations' webhooks, whose addresses are anybody's choice: none leads into a private network by default."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import urlsplit

from weebill.images.errors import ImageError
from weebill.images.fetching import Address, Pinned, is_public

_PORTS: Final = {"http": 80, "https": 443}
_ANSWER_BYTES: Final = 4096
_GONE: Final = 410


class WebhookError(Exception):
    """A webhook did not take a message; if `final`, none is to be sent again."""

    def __init__(self, message: str, *, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


def anywhere(address: Address) -> bool:
    """Returns True: every address may be called."""
    del address
    return True


def call(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    timeout_s: float,
    may_reach: Callable[[Address], bool] = is_public,
) -> None:
    """Posts a message; redirects are not followed. Raises WebhookError unless the answer is a success."""
    parts = urlsplit(url)
    deadline = time.monotonic() + timeout_s
    secure = parts.scheme == "https"
    connection = Pinned(parts.hostname or "", parts.port or _PORTS[parts.scheme], secure, may_reach, deadline)
    # A socket's own timeout begins anew with every byte that a slow host sends.
    ending = threading.Timer(timeout_s, connection.end)
    ending.start()
    try:
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        told = {"content-type": "application/json", "user-agent": "weebill", **headers}
        connection.request("POST", target, body=body, headers=told)
        response = connection.getresponse()
        response.read(_ANSWER_BYTES)
    except ImageError:
        raise WebhookError("its address is not on the public internet ([credits] private_webhooks)") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WebhookError(f"it cannot be reached: {type(error).__name__}") from error
    finally:
        ending.cancel()
        connection.close()
    if not http.client.OK <= response.status < http.client.MULTIPLE_CHOICES:
        raise WebhookError(f"it answered {response.status}", final=response.status == _GONE)
