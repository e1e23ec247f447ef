"""The usage record of one request, from its arrival to the end of its answer."""

from __future__ import annotations

import time
from collections.abc import Callable

from weebill.ledger.records import Outcome, UsageRecord
from weebill.wire.reply import Usage

_NOTHING = Usage(measured=True)


class Meter:
    """Collects what the record of a request says, and settles it exactly once.

    `blame` is the outcome if the request fails at its present stage; `usage` tells what has been used so far, and
    `price` what that costs in nano-dollars.
    """

    __slots__ = (
        "_endpoint", "_request_id", "_settled", "_started", "blame", "first_byte_at", "key_id",
        "model_asked", "model_served", "price", "stream", "upstream", "usage",
    )  # fmt: skip

    def __init__(self, request_id: str, key_id: str, endpoint: str, started: float) -> None:
        """`started`, like `first_byte_at`, is a reading of `time.monotonic()` in seconds."""
        self._request_id = request_id
        self.key_id = key_id
        self._endpoint = endpoint
        self._started = started
        self._settled = False
        self.model_asked = ""
        self.model_served = ""
        self.upstream = ""
        self.stream = False
        self.first_byte_at = 0.0
        self.blame: Outcome = "rejected"
        self.usage: Callable[[], Usage] = nothing_used
        self.price: Callable[[Usage], int] | None = None

    def settle(self, status: int, outcome: Outcome) -> UsageRecord | None:
        """The record, the first time this is called; None after that."""
        if self._settled:
            return None
        self._settled = True
        elapsed = time.monotonic() - self._started
        usage = self.usage()
        price = self.price
        return UsageRecord(
            self._request_id,
            self.key_id,
            self._endpoint,
            self.model_asked,
            self.model_served,
            self.upstream,
            self.stream,
            usage.prompt_tokens,
            usage.cached_tokens,
            usage.completion_tokens,
            usage.measured,
            status,
            outcome,
            int((time.time() - elapsed) * 1e6),
            int((self.first_byte_at - self._started) * 1e6) if self.first_byte_at else 0,
            int(elapsed * 1e6),
            usage.cache_write_tokens,
            usage.reasoning_tokens,
            0 if price is None else price(usage),
        )


def nothing_used() -> Usage:
    """The usage of a request that no upstream has worked on."""
    return _NOTHING
