"""Limits on attempts to sign in: by account and address together, by account, and by address.

They are kept in this process: a restart forgets them, and each machine counts for itself. There is a fixed number of
places, which accounts and addresses share by a secret hash. So nobody can make room by attempts with other names, and
two that share a place are limited together.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from typing import Final, NamedTuple

from weebill.wire.errors import ApiError

_PLACES: Final = 1 << 16  # for each kind


class Limit(NamedTuple):
    """So many attempts at once, and another one each `every_s` seconds."""

    at_once: int
    every_s: float


LIMITS: Final = {"both": Limit(5, 60.0), "account": Limit(30, 20.0), "address": Limit(60, 5.0)}


class Attempts:
    """Counts attempts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        # By kind and place: how many attempts are used, and when that was so.
        self._used: dict[tuple[str, int], tuple[float, float]] = {}

    def take(self, account: str, address: str) -> None:
        """Counts an attempt. Raises ApiError 429 if there were too many, and then counts none."""
        now, places = self._clock(), self._places(account, address)
        waits = [
            LIMITS[kind].every_s * (self._level(kind, place, now) + 1 - LIMITS[kind].at_once) for kind, place in places
        ]
        if (wait := max(waits)) > 0:
            raise ApiError(
                429,
                "Too many attempts to sign in; wait and try again.",
                code="too_many_attempts",
                retry_after=max(1, round(wait + 0.5)),
            )
        for kind, place in places:
            self._used[kind, place] = (self._level(kind, place, now) + 1, now)

    def forgive(self, account: str, address: str) -> None:
        """Takes back an attempt, which was right."""
        now = self._clock()
        for kind, place in self._places(account, address):
            level = self._level(kind, place, now) - 1
            if level > 0:
                self._used[kind, place] = (level, now)
            else:
                self._used.pop((kind, place), None)

    def _level(self, kind: str, place: int, now: float) -> float:
        used, at = self._used.get((kind, place), (0.0, now))
        return max(0.0, used - (now - at) / LIMITS[kind].every_s)

    def _places(self, account: str, address: str) -> list[tuple[str, int]]:
        network = _network(address)
        names = {"both": f"{account}\0{network}", "account": account, "address": network}
        return [(kind, self._place(name)) for kind, name in names.items()]

    def _place(self, name: str) -> int:
        digest = blake2b(name.encode(errors="replace"), digest_size=8, key=self._key).digest()
        return int.from_bytes(digest) % _PLACES


def _network(address: str) -> str:
    """Returns an address, of IPv6 the network of 64 bits, which is one customer's."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
