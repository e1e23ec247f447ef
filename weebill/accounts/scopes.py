"""The rules about what a key may be limited to. Pure."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_network
from typing import Final

import msgspec
from msgspec import UNSET, Raw, UnsetType, structs

from weebill.accounts.api_key import ApiKey
from weebill.accounts.errors import BadKeyError
from weebill.config.routing import Preferences
from weebill.routing.preferences import decode
from weebill.wire.errors import ApiError

ENDPOINTS: Final = (
    "chat.completions", "completions", "responses", "messages", "messages.count_tokens", "generateContent",
    "countTokens", "ollama.chat", "ollama.generate", "embeddings", "rerank", "images.generations", "images.edits",
    "images.variations", "audio.speech", "audio.transcriptions", "audio.translations", "moderations",
)  # fmt: skip
"""The endpoints that requests are recorded under."""
PREFERENCES: Final = "preferences"

_MOST_ENTRIES: Final = 256
_LONGEST_NAME: Final = 200
_LATEST: Final = 253_402_300_799  # the end of the year 9999
_NO_PREFERENCES: Final = Preferences()
_NOT_OF_ADMINS: Final = ("models", "endpoints", "local_only")


class ScopeChanges(msgspec.Struct, frozen=True, kw_only=True):
    """The scopes of a key that are to be others; those that are unset stay."""

    expires_at: int | UnsetType | None = UNSET
    networks: tuple[str, ...] | UnsetType = UNSET
    models: tuple[str, ...] | UnsetType = UNSET
    endpoints: tuple[str, ...] | UnsetType = UNSET
    local_only: bool | UnsetType = UNSET
    preferences: Preferences | UnsetType = UNSET

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of those that are set."""
        return tuple(name for name in self.__struct_fields__ if getattr(self, name) is not UNSET)


def read_preferences(text: bytes) -> Preferences:
    """Returns preferences in JSON, which are read as a request's `provider`. Raises BadKeyError."""
    try:
        return decode(Raw(text), PREFERENCES)
    except ApiError as error:
        raise BadKeyError(error.detail.message, error.detail.param or PREFERENCES) from error


def said_preferences(preferences: Preferences) -> dict[str, object]:
    """Returns the preferences that say something, as an object of JSON."""
    members: dict[str, object] = msgspec.to_builtins(preferences)
    nothing: dict[str, object] = msgspec.to_builtins(_NO_PREFERENCES)
    said = {name: value for name, value in members.items() if value != nothing[name]}
    prices = said.get("max_price")
    if isinstance(prices, dict):
        said["max_price"] = {name: value for name, value in prices.items() if value is not None}
    return said


def changed(key: ApiKey, changes: ScopeChanges, now: float) -> ApiKey:
    """Returns the key with other scopes. Raises BadKeyError that names the field."""
    expires_at = changes.expires_at
    if isinstance(expires_at, int) and not now < expires_at <= _LATEST:
        raise BadKeyError("A key expires in the future, before the year 10000; revoke one to end it.", "expires_at")
    key = structs.replace(key, **{name: getattr(changes, name) for name in changes.fields})
    key = structs.replace(
        key,
        networks=_distinct("networks", tuple(map(_network, key.networks))),
        models=_distinct("models", tuple(map(_model, key.models))),
        endpoints=_distinct("endpoints", tuple(map(_endpoint, key.endpoints))),
    )
    _check_role(key)
    return key


def _check_role(key: ApiKey) -> None:
    limits = [name for name in _NOT_OF_ADMINS if getattr(key, name)]
    if limits and key.role == "admin":
        message = f"An admin key can make keys without limits, so `{limits[0]}` would not limit it; make a user's key."
        raise BadKeyError(message, limits[0])


def _network(text: str) -> str:
    """Returns a network in its normal form; a single address is one, too."""
    try:
        network = ip_network(text.strip())
    except ValueError as error:
        raise BadKeyError(
            f"{text!r} is no network, such as 10.0.0.0/8 or 2001:db8::/32: {error}.", "networks"
        ) from None
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped is not None:
        raise BadKeyError(f"{text!r} is a network of IPv4: write it as one, such as 10.0.0.0/8.", "networks")
    return str(network)


def _model(name: str) -> str:
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise BadKeyError(f"{name[:_LONGEST_NAME]!r} cannot be a model's name.", "models")
    return name.strip()


def _endpoint(name: str) -> str:
    if name not in ENDPOINTS:
        raise BadKeyError(f"{name!r} is no endpoint; there are {', '.join(ENDPOINTS)}.", "endpoints")
    return name


def _distinct(field: str, values: tuple[str, ...]) -> tuple[str, ...]:
    if len(values) > _MOST_ENTRIES:
        raise BadKeyError(f"There are {len(values)} entries in `{field}`; there may be {_MOST_ENTRIES}.", field)
    return tuple(dict.fromkeys(values))
