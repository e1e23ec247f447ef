"""A client's own fields as a target of the same API takes them: only what its model is known to refuse is touched.

What is known of a provider is in its quirks, of a model in its traits. Demands are left to the provider to judge.
"""

from __future__ import annotations

from typing import Final, cast, get_args

import msgspec
from msgspec import Raw

from weebill.catalog.traits import NOTHING_SAID
from weebill.providers.base import Target
from weebill.providers.fit import DEMANDS, Fit
from weebill.providers.model_fit import fit_reasoning, refused
from weebill.providers.openai.quirks import refused as refused_by_provider
from weebill.providers.responses.encode import reasons
from weebill.wire.conversation import Effort, ReasoningOptions
from weebill.wire.idle import asks_nothing
from weebill.wire.inbound import Json
from weebill.wire.responses_items import decode_members, is_object, text_of
from weebill.wire.responses_request import ENCRYPTED_REASONING, NULL, ResponsesRequest

_EFFORTS: Final = frozenset(get_args(Effort))
# What is this API's own, which the quirks, in the words of Chat Completions, say nothing about.
_OWN: Final = frozenset(
    {"input", "instructions", "include", "text", "reasoning", "max_output_tokens", "truncation", "prompt"}
    | {"model", "stream", "store", "previous_response_id"}
)
_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.decode


def fitted(fields: Json, request: ResponsesRequest, target: Target, fit: Fit) -> Json:
    """The fields without what the target refuses, in the values that it takes. Raises Unsupported, as `fit` has it."""
    quirks, traits, limit = target.quirks, target.traits, target.max_output_tokens
    takes_all = traits is NOTHING_SAID and limit is None and not quirks.refuse and not quirks.accept
    if takes_all and not request.background and not request.include:
        return fields
    changes: Json = {}
    if request.background:
        # Nothing is kept upstream that could be asked for again.
        fit.demand("background", "answers in the background")
        changes["background"] = Raw(b"false")
    without = [name for name in _quirky(fields, target) if _unwanted(name, fields[name], fit)]
    if limit is not None and request.max_output_tokens is not None and request.max_output_tokens > limit:
        fit.hint("max_output_tokens", f"more than {limit} tokens")
        changes["max_output_tokens"] = Raw(_encode(limit))
    if traits is not NOTHING_SAID:
        both = request.temperature is not None and request.top_p is not None
        hints = [name for name in refused(traits, both) if name in fields and name not in DEMANDS]
        without += [name for name in hints if _unwanted(name, fields[name], fit)]
        if is_object(request.reasoning):
            reasoning = _reasoning(request.reasoning, target, fit)
            if reasoning is None:
                without.append("reasoning")
            else:
                changes["reasoning"] = reasoning
    include = request.include or ()
    if ENCRYPTED_REASONING in include and not reasons(target):
        fit.hint("include", f"'{ENCRYPTED_REASONING}'")
        changes["include"] = Raw(_encode([each for each in include if each != ENCRYPTED_REASONING]))
    if not changes and not without:
        return fields
    return {name: value for name, value in (fields | changes).items() if name not in without}


def _quirky(fields: Json, target: Target) -> list[str]:
    quirks = target.quirks
    if not quirks.refuse and not quirks.accept:
        return []
    return [name for name in refused_by_provider(fields, quirks) if name in fields and name not in _OWN | DEMANDS]


def _unwanted(name: str, value: Raw, fit: Fit) -> bool:
    """Tells whether a field that the target refuses is to go, which is said unless it asks for what is so anyway."""
    if not asks_nothing(name, value):
        fit.hint(name)
    return True


def _reasoning(given: Raw, target: Target, fit: Fit) -> Raw | None:
    """`reasoning` as the model takes it; None where it takes none."""
    fields = decode_members(given)
    word = text_of(fields.get("effort", NULL))
    if word not in _EFFORTS:
        # A word that is new is for the model to judge, as long as it thinks at all.
        if target.traits.reasoning is not False:
            return given
        if not all(asks_nothing(f"reasoning.{name}", value) for name, value in fields.items()):
            fit.hint("reasoning", "reasoning")
        return None
    effort = cast("Effort", word)
    asked = ReasoningOptions(enabled=False if effort == "none" else None, effort=effort)
    fitting = fit_reasoning(asked, target.traits, fit)
    if fitting is asked:
        return given
    if fitting is None and target.traits.reasoning is False:
        return None
    said = None if fitting is None else fitting.effort
    others = {name: value for name, value in fields.items() if name != "effort"}
    return Raw(_encode(others if said is None else {"effort": said, **others}))
