"""Chat Completions requests in canonical form.

Source: https://platform.openai.com/docs/api-reference/chat/create. Accepted besides: `cache_control` and
`reasoning_details` as OpenRouter has them, `reasoning_content` as DeepSeek, `extra_content` as Google, and the sampling
fields `top_k`, `min_p` and `repetition_penalty`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from weebill.apis.cache_marks import CACHE_CONTROL, EPHEMERAL, marked, may_mark
from weebill.apis.chat.messages import turns
from weebill.apis.chat.parts import Aside
from weebill.apis.chat.request_shapes import ChatFields, ReasoningFields
from weebill.apis.chat.tolerance import tolerated
from weebill.apis.chat.tools import legacy_tool_choice, tool_choice, tools
from weebill.wire.body import invalid_body
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation, Effort, OutputFormat, ReasoningOptions
from weebill.wire.errors import UNREADABLE, missing_parameter
from weebill.wire.inbound import Json
from weebill.wire.openai_chat import HINTS
from weebill.wire.openai_chat_request import ResponseFormat

_NOTHING: Final[Json] = {}
_PLAIN: Final = frozenset(ChatFields.__struct_fields__)

_decode = msgspec.json.Decoder(ChatFields).decode
_encode = msgspec.json.encode


def conversation(call: Call) -> Conversation:
    """The request in canonical form. Raises ApiError 400 that names the field."""
    body = _encode(call.fields)
    try:
        fields, aside = _decode(body), _NOTHING
    except msgspec.ValidationError:
        fields, aside = _tolerated(call)
    offered = tools(fields.tools, fields.functions)
    choice = (
        legacy_tool_choice(fields.function_call, offered)
        if fields.functions
        else tool_choice(fields.tool_choice, fields.parallel_tool_calls, offered)
    )
    hints, extra = _rest(call.fields)
    extra |= aside
    said = turns(fields.messages)
    if may_mark(body) and marked(said, offered):
        hints[CACHE_CONTROL] = EPHEMERAL
    modalities = tuple(fields.modalities or ())
    return Conversation(
        turns=said,
        tools=offered,
        tool_choice=choice,
        output=_output(fields.response_format),
        max_tokens=_limit(fields.max_completion_tokens) or _limit(fields.max_tokens),
        temperature=fields.temperature,
        top_p=fields.top_p,
        top_k=_limit(fields.top_k),
        min_p=fields.min_p or None,
        presence_penalty=fields.presence_penalty or None,
        frequency_penalty=fields.frequency_penalty or None,
        repetition_penalty=None if fields.repetition_penalty == 1 else fields.repetition_penalty,
        stop=(fields.stop,) if isinstance(fields.stop, str) else tuple(fields.stop or ()),
        seed=fields.seed,
        n=None if fields.n == 1 else fields.n,
        logprobs=True if fields.logprobs else None,
        top_logprobs=fields.top_logprobs if fields.logprobs else None,
        logit_bias=fields.logit_bias or None,
        reasoning=_reasoning(fields.reasoning_effort, fields.reasoning),
        modalities=() if modalities == ("text",) else modalities,
        audio=fields.audio,
        hints=hints,
        extra=extra,
    )


def _tolerated(call: Call) -> tuple[ChatFields, Json]:
    """The fields of a request that is not as documented, and what in it has no place."""
    aside = Aside(call.drop_params)
    try:
        return _decode(_encode(tolerated(call.fields, aside))), aside.found
    except UNREADABLE as error:
        raise invalid_body(error) from error


def _limit(number: int | None) -> int | None:
    """Clients that want no limit say so by 0 or -1."""
    return number if number is not None and number > 0 else None


def _rest(fields: Json) -> tuple[Json, Json]:
    """The hints, and what has no place in the canonical form."""
    if fields.keys() <= _PLAIN:
        return {}, {}
    hints: Json = {}
    extra: Json = {}
    for name, value in fields.items():
        if name in _PLAIN or bytes(value) == b"null":
            continue
        if name in HINTS or (name == "store" and bytes(value) == b"false"):
            hints[name] = value
        else:
            extra[name] = value
    return hints, extra


def _output(form: ResponseFormat | None) -> OutputFormat | None:
    if form is None or form.type == "text":
        return None
    if form.type == "json_object":
        return OutputFormat("json_object")
    schema = form.json_schema
    if schema is None:
        raise missing_parameter("response_format.json_schema")
    shape = None if bytes(schema.schema) == b"null" else schema.schema
    return OutputFormat("json_schema", shape, schema.name, schema.description, schema.strict)


def _reasoning(effort: Effort | None, options: ReasoningFields | None) -> ReasoningOptions | None:
    if options is None:
        return ReasoningOptions(effort=effort) if effort else None
    include = None if options.exclude is None else not options.exclude
    return ReasoningOptions(options.enabled, options.effort or effort, options.max_tokens, options.summary, include)
