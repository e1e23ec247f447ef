"""Requests under which a local model's host has died, twice: they are refused for a while.

A host that dies takes all of its requests with it, and most of them are innocent. So one that is answered after all is
forgotten, and only one that was there at two deaths in a row is taken for their cause. A death counts once, however
many requests of the same words were there. In memory, by the worker.
"""

from __future__ import annotations

import time
from typing import Final

from weebill.transport.origin import Origin
from weebill.wire.errors import ApiError

_DEATHS: Final = 2
_FORGOTTEN_S: Final = 600.0
_MOST: Final = 256

Suspect = tuple[str, int]


class FatalRequests:
    """The suspects of one worker, by model and hash of the request's body."""

    def __init__(self) -> None:
        # The number of deaths, the time of the last one, and the address of the host that died then.
        self._suspects: dict[Suspect, tuple[int, float, Origin | None]] = {}

    def check(self, model: str, body: bytes) -> None:
        """Raises ApiError 400 for a request that has been there at too many deaths."""
        if not self._suspects:
            return
        deaths, at, _ = self._suspects.get(_suspect(model, body), (0, 0.0, None))
        if deaths >= _DEATHS and time.monotonic() - at < _FORGOTTEN_S:
            message = (
                f"The model '{model}' ended {deaths} times while it was at this request, so the request is refused for "
                "some minutes. Change it, or ask another model."
            )
            raise ApiError(400, message, code="model_ended")

    def died(self, model: str, body: bytes, host: Origin) -> None:
        """Notes that the model's host at this address died with this request."""
        suspect, now = _suspect(model, body), time.monotonic()
        deaths, at, last = self._suspects.pop(suspect, (0, now, None))
        again = deaths if host == last else deaths + 1
        self._suspects[suspect] = (again if now - at < _FORGOTTEN_S else 1, now, host)
        if len(self._suspects) > _MOST:
            del self._suspects[next(iter(self._suspects))]

    def answered(self, model: str, body: bytes) -> None:
        """Notes that the request was answered."""
        if self._suspects:
            self._suspects.pop(_suspect(model, body), None)


def _suspect(model: str, body: bytes) -> Suspect:
    return model, hash(body)
