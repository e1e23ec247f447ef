"""A client's fields as the target's model takes them: what `model_fit` does, on fields as they came."""

from __future__ import annotations

from typing import Final, cast

import msgspec
from msgspec import Raw

from weebill.catalog.traits import NOTHING_SAID, Traits
from weebill.providers.base import Target
from weebill.providers.fit import Fit
from weebill.providers.model_fit import EFFORTS, nearest, refused
from weebill.wire.conversation import Effort
from weebill.wire.errors import UNREADABLE
from weebill.wire.inbound import Json

_LIMITS: Final = ("max_completion_tokens", "max_tokens")
_EFFORT: Final = "reasoning_effort"
# What a model may refuse, or take in its own values.
_FITTED: Final = frozenset(
    {*_LIMITS, _EFFORT, "temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty"}
    | {"repetition_penalty", "n", "logprobs", "top_logprobs", "logit_bias", "modalities", "stop"}
)
_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode


def fitted_to_model(fields: Json, target: Target, fit: Fit) -> Json:
    """The fields without what the target's model refuses, in the values that it takes. Raises Unsupported."""
    traits = target.traits
    if (traits == NOTHING_SAID and target.max_output_tokens is None) or _FITTED.isdisjoint(fields):
        return fields
    fields = dict(fields)
    if traits.completion_tokens and "max_tokens" in fields:
        given = fields.pop("max_tokens")
        fields.setdefault("max_completion_tokens", given)
    if target.max_output_tokens is not None:
        for name in _LIMITS:
            if name in fields and _above(fields[name], target.max_output_tokens):
                fit.hint(name, f"more than {target.max_output_tokens} tokens")
                fields[name] = Raw(_encode(target.max_output_tokens))
    both = _is_said(fields, "temperature") and _is_said(fields, "top_p")
    for name in refused(traits, both):
        value = fields.pop(name, None)
        if value is not None:
            fit.unsupported(name, value=value)
    if _is_said(fields, _EFFORT):
        _fit_effort(fields, traits, fit)
    return fields


def _fit_effort(fields: Json, traits: Traits, fit: Fit) -> None:
    """Says how much to think by a word that the model takes; words that are new are the provider's to judge."""
    word = _value(fields[_EFFORT])
    if traits.reasoning is False:
        del fields[_EFFORT]
        if word != "none":
            fit.hint(_EFFORT)
        return
    if word not in EFFORTS or traits.efforts is None or word in traits.efforts:
        return
    if word == "none":
        # What the least is called, or nothing where a model takes no word for it.
        taken = traits.efforts[0] if traits.always_thinks and traits.efforts else None
        if not traits.always_thinks:
            return
    else:
        taken = nearest(cast("Effort", word), traits.efforts)
    fit.hint(_EFFORT, f"the effort '{word}'")
    if taken is None:
        del fields[_EFFORT]
    else:
        fields[_EFFORT] = Raw(_encode(taken))


def _is_said(fields: Json, name: str) -> bool:
    return name in fields and bytes(fields[name]) != b"null"


def _above(raw: Raw, limit: int) -> bool:
    value = _value(raw)
    return isinstance(value, int) and value > limit


def _value(raw: Raw) -> object:
    try:
        return _decode(raw)
    except UNREADABLE:
        return None
