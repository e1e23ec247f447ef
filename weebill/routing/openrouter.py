"""Preferences about providers that only OpenRouter knows: names in a request's `provider` object and `models`.

Weebill's own names come first. Unknown names are passed to a deployment at OpenRouter, and are hints elsewhere. Source:
https://openrouter.ai/docs/features/provider-routing
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Raw, structs

from weebill.config.routing import Preferences
from weebill.routing.preferences import (
    WANTS_NOTHING,
    WEEBILL_MEMBERS,
    ResolvedPreferences,
    members,
    openrouter_members,
    readable,
)
from weebill.wire.call import AnyCall, fitted_as, with_own
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import GatewayOptions, Json

_NAMING: Final = ("order", "only", "ignore")
_NOBODY: Final = ""
_decode_names: Final = msgspec.json.Decoder(list[str]).decode
_encode: Final = msgspec.json.encode


def known_preferences(
    said: Preferences, known: Collection[str], openrouter: Sequence[str], *, demands: bool = False
) -> Preferences:
    """Returns a request's preferences, reduced to the names that are `known` here.

    `openrouter` are the deployments at OpenRouter that serve the request: they apply the preferences about providers
    that are unknown here, and are the only ones allowed if the request `demands` such. If `only` has no known name, and
    there is no OpenRouter, `only` stays as it is: nothing may serve the request.
    """
    order = tuple(name for name in said.order if name in known)
    only = tuple(name for name in said.only if name in known)
    foreign = len(only) < len(said.only)
    if foreign and openrouter:
        only = tuple(dict.fromkeys((*only, *openrouter)))
    elif not only:
        only = said.only
    if demands:
        only = tuple(dict.fromkeys([name for name in openrouter if not only or name in only])) or (_NOBODY,)
    if not order and said.order and openrouter:
        order = tuple(dict.fromkeys(openrouter))
    return structs.replace(said, order=order, only=only, ignore=tuple(name for name in said.ignore if name in known))


def with_preferences(call: AnyCall, wanted: ResolvedPreferences) -> AnyCall:
    """Returns the call with the resolved preferences written into it: for fitting it to targets, and for OpenRouter."""
    if wanted is WANTS_NOTHING:
        return call
    call = fitted_as(call, wanted.on_unsupported)
    demanded = openrouter_members(wanted)
    if not demanded:
        return call
    own = call.own
    said = {} if own.provider is None else members(own.provider)
    return with_own(call, structs.replace(own, provider=Raw(_encode({**said, **demanded}))))


def openrouter_fields(own: GatewayOptions, known: Collection[str], serves: Callable[[str], bool]) -> Json:
    """Returns the fields of a request for OpenRouter: those that are not for Weebill."""
    fields: Json = {}
    said = _said(own, known)
    if said:
        fields["provider"] = Raw(_encode(said))
    models = [name for name in own.models if not serves(name)]
    if models:
        fields["models"] = Raw(_encode(models))
    return fields


def dropped_fields(own: GatewayOptions, known: Collection[str], serves: Callable[[str], bool]) -> tuple[str, ...]:
    """Returns the client's names of fields that only OpenRouter could have used."""
    said = _said(own, known)
    foreign = readable(own.provider)[1] if own.provider is not None and said else frozenset()
    names = tuple([f"provider.{name}" for name in said if name in _NAMING or name in foreign])
    return names if all(map(serves, own.models)) else (*names, "models")


def _said(own: GatewayOptions, known: Collection[str]) -> Json:
    """Returns the members of a request's `provider` that are not for Weebill alone, without the names known here."""
    if own.provider is None:
        return {}
    try:
        said = members(own.provider)
    except UNREADABLE:
        return {}
    for name in _NAMING:
        if name in said:
            with suppress(*UNREADABLE):  # OpenRouter checks them itself
                foreign = [each for each in _decode_names(said[name]) if each not in known]
                said[name] = Raw(_encode(foreign))
                if not foreign:
                    del said[name]
    return {name: value for name, value in said.items() if name not in WEEBILL_MEMBERS}
