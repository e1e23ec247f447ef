"""Fields of requests in Anthropic's format that pass through, as the model takes them: what the traits know is applied.

All else goes as it came, unknown members and words included: the provider judges them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct

from weebill.catalog.traits import NOTHING_SAID, Traits
from weebill.providers.anthropic.encode import BINDING, sampling
from weebill.providers.anthropic.thinking import MIN_BUDGET, budget_of, called_without_thinking, word_of
from weebill.providers.base import Target
from weebill.providers.fit import Fit
from weebill.providers.model_fit import EFFORTS, nearest, refused
from weebill.wire.conversation import Conversation
from weebill.wire.errors import UNREADABLE
from weebill.wire.idle import asks_nothing
from weebill.wire.inbound import Json
from weebill.wire.json_values import decode_list, decode_object
from weebill.wire.lenient import reader

# What fields of Conversation are called here, where it is not the same.
_NAMES: Final = {"stop": "stop_sequences"}
_SAMPLING: Final = frozenset({"temperature", "top_p", "top_k", "stop"})

_RESULT: Final = b'"tool_result"'
_MANAGEMENT: Final = "context_management"
_CLEARING: Final = b'"clear_thinking'

_encode: Final = msgspec.json.encode
_decode: Final = msgspec.json.Decoder().decode


class _Thinking(Struct, frozen=True):
    type: str = ""
    budget_tokens: int | None = None


class _OutputConfig(Struct, frozen=True):
    effort: str | None = None


class _Block(Struct, frozen=True):
    type: str = ""


class _Message(Struct, frozen=True):
    role: str
    content: str | list[_Block] | None = None


class _ToolChoice(Struct, frozen=True):
    type: str = ""


class _Sampling(Struct, frozen=True):
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


_read_block: Final = msgspec.json.Decoder(_Block).decode
_read_messages: Final = msgspec.json.Decoder(list[_Message]).decode
_read_choice: Final = reader(_ToolChoice)
_read_sampling: Final = reader(_Sampling)
_read_thinking: Final = reader(_Thinking)
_read_config: Final = reader(_OutputConfig)


def fitted(fields: Json, target: Target, fit: Fit) -> Json:
    """The request's fields as the model takes them. Raises Unsupported where hints are to be refused."""
    traits = target.traits
    if traits == NOTHING_SAID and target.max_output_tokens is None:
        return fields
    fields = dict(fields)
    limit = _bound_tokens(fields, target, fit)
    for name in refused(traits, _said(fields, "temperature") and _said(fields, "top_p")):
        if name in _SAMPLING:
            _drop(fields, name, fit)
    with suppress(*UNREADABLE):  # The provider's to judge.
        _fit_thinking(fields, traits, limit, fit)
        _fit_to_thinking(fields, fit)
    return fields


def _said(fields: Json, name: str) -> bool:
    return name in fields and bytes(fields[name]) != b"null"


def _bound_tokens(fields: Json, target: Target, fit: Fit) -> int | None:
    """The limit of tokens, bounded by the model's own."""
    given = _decode(fields["max_tokens"]) if "max_tokens" in fields else None
    if not isinstance(given, int):
        return None
    if target.max_output_tokens is None or given <= target.max_output_tokens:
        return given
    fit.hint("max_tokens", f"more than {target.max_output_tokens} tokens")
    fields["max_tokens"] = Raw(_encode(target.max_output_tokens))
    return target.max_output_tokens


def _drop(fields: Json, name: str, fit: Fit) -> None:
    own = _NAMES.get(name, name)
    given = fields.pop(own, None)
    if not asks_nothing(name, given):
        fit.unsupported(own)


def _fit_thinking(fields: Json, traits: Traits, limit: int | None, fit: Fit) -> None:
    """Put `thinking` and `output_config.effort` into the words that the model knows."""
    effort = _read_config(fields["output_config"]).effort if _said(fields, "output_config") else None
    if traits.reasoning is False:
        _drop_thinking(fields, fit)
        _put_effort(fields, effort, None, fit)
        return
    thinking = _read_thinking(fields["thinking"]) if _said(fields, "thinking") else _Thinking()
    if thinking.type == "disabled" and traits.always_thinks:
        fit.hint("thinking", "to be kept from thinking")
        del fields["thinking"]
    elif thinking.type == "enabled" and traits.thinking == "adaptive" and traits.budget is None:
        fit.hint("thinking.budget_tokens", "a budget of thinking tokens for this model; it takes an effort")
        _put_thinking(fields, {"type": "adaptive"})
        if effort is None and thinking.budget_tokens:
            effort = word_of(thinking.budget_tokens)
            _set_effort(fields, nearest(effort, traits.efforts or EFFORTS))
    elif thinking.type in ("enabled", "adaptive") and traits.thinking == "budget":
        _put_budget(fields, thinking, effort, traits, limit, fit)
    if traits.efforts is not None and effort in EFFORTS and effort not in traits.efforts:
        _put_effort(fields, effort, nearest(effort, traits.efforts), fit)


def _fit_to_thinking(fields: Json, fit: Fit) -> None:
    """Leave out what does not go with thinking; thinking itself where a call is forced."""
    if not _said(fields, "thinking") or _read_thinking(fields["thinking"]).type not in ("enabled", "adaptive"):
        return
    if _said(fields, "tool_choice") and _read_choice(fields["tool_choice"]).type in BINDING:
        fit.hint("thinking", "thinking together with forced calls")
        del fields["thinking"]
        return
    given = {name: fields[name] for name in _Sampling.__struct_fields__ if _said(fields, name)}
    if given:
        said = _read_sampling(_encode(given))
        asked = Conversation(turns=(), temperature=said.temperature, top_p=said.top_p, top_k=said.top_k)
        for name, taken in sampling(asked, fit, thinks=True).items():
            if taken is UNSET and getattr(said, name) is not None:
                del fields[name]


def _put_budget(
    fields: Json, thinking: _Thinking, effort: str | None, traits: Traits, limit: int | None, fit: Fit
) -> None:
    least, most = traits.budget or (MIN_BUDGET, limit or MIN_BUDGET)
    given = thinking.budget_tokens if thinking.type == "enabled" else budget_of(effort)
    if given is None:
        return  # The provider's to judge.
    if limit is not None:
        most = min(most, limit - 1)
    if most < least:
        _drop_thinking(fields, fit)
        return
    budget = min(max(given, least), most)
    if thinking.type == "adaptive":
        fit.hint("thinking.type", "to decide for itself how much to think")
    elif budget == given:
        return
    else:
        fit.hint("thinking.budget_tokens", f"a budget of {given} tokens")
    _put_thinking(fields, {"type": "enabled", "budget_tokens": budget})


def _put_thinking(fields: Json, said: dict[str, object]) -> None:
    """Put what is said in the place of type and budget; the other members stay."""
    kept = {name: raw for name, raw in decode_object(fields["thinking"]).items() if name != "budget_tokens"}
    fields["thinking"] = Raw(_encode({**kept, **said}))


def unthought(fields: Json, fit: Fit, *, signed: bool) -> Json:
    """The fields without a budget for thinking that a history with tools called without any does not go with.

    `signed` is whether the model takes none but its own. Raises Unsupported where hints are to be refused.
    """
    if not signed or not _said(fields, "thinking") or bytes(fields.get("messages", b"")).find(_RESULT) < 0:
        return fields
    try:
        if _read_thinking(fields["thinking"]).type != "enabled":
            return fields
        kinds = [(each.role, _kinds(each.content)) for each in _read_messages(fields["messages"])]
    except UNREADABLE:
        return fields
    if not called_without_thinking(kinds):
        return fields
    fields = dict(fields)
    _drop_thinking(fields, fit)
    return fields


def _kinds(content: str | list[_Block] | None) -> Sequence[str]:
    return [block.type for block in content] if isinstance(content, list) else ("text",)


def _drop_thinking(fields: Json, fit: Fit) -> None:
    """Leave out thinking, and edits of what has been thought, which are refused without it."""
    if _said(fields, "thinking") and _read_thinking(fields["thinking"]).type != "disabled":
        fit.hint("thinking", "thinking")
        if bytes(fields.get(_MANAGEMENT, b"")).find(_CLEARING) >= 0:
            with suppress(*UNREADABLE):
                _keep_thoughts(fields)
    fields.pop("thinking", None)


def _keep_thoughts(fields: Json) -> None:
    managed = decode_object(fields[_MANAGEMENT])
    edits = [edit for edit in decode_list(managed["edits"]) if not _read_block(edit).type.startswith("clear_thinking")]
    if edits:
        fields[_MANAGEMENT] = Raw(_encode({**managed, "edits": edits}))
    else:
        del fields[_MANAGEMENT]


def _put_effort(fields: Json, given: str | None, taken: str | None, fit: Fit) -> None:
    if given is not None:
        fit.hint("output_config.effort", f"the effort '{given}'")
        _set_effort(fields, taken)


def _set_effort(fields: Json, taken: str | None) -> None:
    config = decode_object(fields["output_config"]) if _said(fields, "output_config") else {}
    config.pop("effort", None)
    if taken is not None:
        config["effort"] = Raw(_encode(taken))
    if config:
        fields["output_config"] = Raw(_encode(config))
    else:
        fields.pop("output_config", None)
