"""A key as requests are checked by it: what follows from its scopes is worked out once, not for each request."""

from __future__ import annotations

import time
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from msgspec import structs

from weebill.accounts.api_key import ApiKey, FoundKey, KeyScopes
from weebill.config.routing import WILDCARD, Preferences
from weebill.limits.slices import Allowed
from weebill.routing.patterns import captured

_NO_PREFERENCES: Final = Preferences()
_MAX_PEERS: Final = 256


class Limits:
    """The limits of a key; `preferences` are those of its requests, None if they are as any other's.

    A key that is `local_only` demands that in its preferences.
    """

    __slots__ = ("_endpoints", "_models", "_networks", "_patterns", "_peers", "local_only", "preferences")

    def __init__(self, scopes: KeyScopes) -> None:
        self._networks: tuple[IPv4Network | IPv6Network, ...] = tuple(map(ip_network, scopes.networks))
        self._peers: dict[str, bool] = {}  # reading an address takes some microseconds
        self._endpoints = frozenset(scopes.endpoints)
        self._models = frozenset(scopes.models)
        self._patterns = tuple(name.split(WILDCARD) for name in scopes.models if WILDCARD in name)
        self.local_only = scopes.local_only
        preferences = scopes.preferences
        if scopes.local_only:
            preferences = structs.replace(preferences, local_only=True)
        self.preferences = None if preferences == _NO_PREFERENCES else preferences

    def admit(self, peer: str) -> bool:
        """True if the key may be used from an address, "" if that is not known."""
        if not self._networks:
            return True
        found = self._peers.get(peer)
        if found is None:
            if len(self._peers) >= _MAX_PEERS:
                self._peers.clear()
            found = self._peers[peer] = self._is_within(peer)
        return found

    def allow_endpoint(self, name: str) -> bool:
        """True if the key may be used at an endpoint."""
        return not self._endpoints or name in self._endpoints

    def allow_model(self, name: str) -> bool:
        """True if requests may ask for a model by this name."""
        if not self._models or name in self._models:
            return True
        return any(captured(literals, name) is not None for literals in self._patterns)

    def _is_within(self, peer: str) -> bool:
        try:
            address = ip_address(peer.partition("%")[0])  # without the interface
        except ValueError:
            return False
        address = _as_ipv4(address)
        return any(address in network for network in self._networks)


class KnownKey:
    """An active key that was found by one of its secrets.

    `organisation_id` is that of its project. `limits` is None if it has none, and so is `allowed`, what it may take of
    requests, tokens and spend. From `ends_at` on, in Unix seconds, the secret is not valid, None if it has no end.
    """

    __slots__ = ("allowed", "ends_at", "key", "limits", "organisation_id")

    def __init__(self, found: FoundKey) -> None:
        key = found.key
        ends = [end for end in (key.expires_at, found.until) if end is not None]
        self.key = key
        self.organisation_id = found.organisation_id
        self.ends_at = min(ends, default=None)
        limited = key.networks or key.models or key.endpoints or key.local_only or key.preferences != _NO_PREFERENCES
        self.limits = Limits(key) if limited else None
        self.allowed = Allowed(found.limits) if found.limits else None

    def ended(self, now: float) -> str:
        """Returns why the secret is not valid any more, "" if it is."""
        return "" if self.ends_at is None or now < self.ends_at else ending(self.key, now)

    def admits(self, peer: str) -> bool:
        """True if the key may be used from an address."""
        return self.limits is None or self.limits.admit(peer)


def ending(key: ApiKey, now: float) -> str:
    """Returns a sentence that says why a secret of the key has ended."""
    if key.expires_at is not None and key.expires_at <= now:
        at = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(key.expires_at))
        return f"The API key expired at {at}; `weebill keys set` gives it another end."
    return "The API key has another secret since it was rotated, and this one has ended."


def not_admitted(key: ApiKey, peer: str) -> str:
    """Returns a sentence that says from where the key may not be used."""
    return f"The API key {key.name!r} may not be used from {peer or 'an unknown address'}."


def _as_ipv4(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Returns the IPv4 address of a client at a socket for both kinds."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
