"""What a request prefers among providers that only OpenRouter knows: its own `provider` object and `models`.

Weebill's names come first. Those that it does not know go along to a deployment at OpenRouter, and are hints elsewhere.

Source: https://openrouter.ai/docs/features/provider-routing
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Final

import msgspec
from msgspec import Raw, structs

from weebill.config.routing import Preferences
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json, Own

_NAMING: Final = ("order", "only", "ignore")
# Weebill's own members, which OpenRouter would refuse.
_OURS: Final = frozenset({"local_only", "regions", "resume", "hedge", "on_unsupported"})
_KNOWN: Final = frozenset(Preferences.__struct_fields__)
_decode: Final = msgspec.json.Decoder(Json).decode
_decode_names: Final = msgspec.json.Decoder(list[str]).decode
_encode: Final = msgspec.json.encode


def ours(said: Preferences, known: Collection[str], openrouter: Sequence[str]) -> Preferences:
    """A request's preferences by the names that are `known` here.

    `openrouter` are those who serve the request and are OpenRouter: they see to what is only for others' eyes.
    If nobody that may serve it is known and there are none, `only` stays as it is: then nothing may be used.
    """
    order = tuple(name for name in said.order if name in known)
    only = tuple(name for name in said.only if name in known)
    foreign = len(only) < len(said.only)
    if foreign and openrouter:
        only = tuple(dict.fromkeys((*only, *openrouter)))
    elif not only:
        only = said.only
    if not order and said.order and openrouter:
        order = tuple(dict.fromkeys(openrouter))
    return structs.replace(said, order=order, only=only, ignore=tuple(name for name in said.ignore if name in known))


def along(own: Own, known: Collection[str], serves: Callable[[str], bool]) -> Json:
    """The fields of a request that go along to OpenRouter: what is not for Weebill."""
    fields: Json = {}
    if own.provider is not None:
        try:
            said = _decode(own.provider)
            for name in _NAMING:
                if name in said:
                    foreign = [each for each in _decode_names(said[name]) if each not in known]
                    said[name] = Raw(_encode(foreign))
                    if not foreign:
                        del said[name]
        except UNREADABLE:
            said = {}
        said = {name: value for name, value in said.items() if name not in _OURS}
        if said:
            fields["provider"] = Raw(_encode(said))
    models = [name for name in own.models if not serves(name)]
    if models:
        fields["models"] = Raw(_encode(models))
    return fields


def unheard(own: Own, known: Collection[str], serves: Callable[[str], bool]) -> tuple[str, ...]:
    """Of what would go along to OpenRouter, what nobody else makes anything of: by the client's names for it."""
    fields = along(own, known, serves)
    said = _decode(fields["provider"]) if "provider" in fields else {}
    names = [f"provider.{name}" for name in said if name in _NAMING or name not in _KNOWN]
    return (*names, "models") if "models" in fields else tuple(names)
