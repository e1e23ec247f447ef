"""The first answer of the scenario `two-turn`, in each dialect: thinking, a text and two tool calls at once.

Every answer says the same: `REASONING`, `TEXT`, and `get_weather` for Paris and for London. What is opaque in it is in
`OPAQUE`. Formats are those of `tests/vectors`; see each file's `source`.
"""

from __future__ import annotations

import json
from typing import Any, Final

from tests.vectors.eventstream import encode_entry

REASONING: Final = "Two cities were asked for."
TEXT: Final = "Let me look."
CITIES: Final = ("Paris", "London")
TOOL: Final = "get_weather"
PROMPT_TOKENS: Final = 60
COMPLETION_TOKENS: Final = 40
REASONING_TOKENS: Final = 12
# What a dialect's model wants back, and no other's may see.
OPAQUE: Final = {
    "openai": "b3BlbmFpLXNpZ25hdHVyZQ==",
    "openai-responses": "gAAAAABvcGVuYWktZW5jcnlwdGVk",
    "azure": "b3BlbmFpLXNpZ25hdHVyZQ==",
    "cloudflare": "b3BlbmFpLXNpZ25hdHVyZQ==",
    "huggingface": "b3BlbmFpLXNpZ25hdHVyZQ==",
    "anthropic": "EqQBYW50aHJvcGljLXNpZ25hdHVyZQ==",
    "gemini": "CiIBZ2VtaW5pLXNpZ25hdHVyZQ==",
    "vertex": "CiIBZ2VtaW5pLXNpZ25hdHVyZQ==",
    "bedrock": "ErcBYmVkcm9jay1zaWduYXR1cmU=",
}

Block = dict[str, Any]


def first_answer(dialect: str) -> tuple[Block, list[bytes]]:
    """The first answer, whole and as the events of a stream."""
    return _ANSWERS[dialect]()


def _sse(events: list[Block], *, named: bool = False, end: str = "\n\n") -> list[bytes]:
    return [
        ((f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}{end}").encode()
        for event in events
    ]


def _pieces(city: str) -> tuple[str, str]:
    """A call's arguments in two pieces, cut inside a string."""
    return '{"city":"' + city[:2], city[2:] + '"}'


def _openai() -> tuple[Block, list[bytes]]:
    def detail(text: str, signature: str | None) -> list[Block]:
        fields = {"text": text, "signature": signature, "id": None, "format": "anthropic-claude-v1", "index": 0}
        return [{"type": "reasoning.text", **fields}]

    def call(index: int, city: str, arguments: str) -> Block:
        called = {"name": TOOL, "arguments": arguments}
        return {"index": index, "id": f"call_{city.lower()}", "type": "function", "function": called}

    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        "completion_tokens_details": {"reasoning_tokens": REASONING_TOKENS},
    }
    head = {"id": "chatcmpl-two", "created": 1741569952, "model": "two-turn"}
    message = {
        "role": "assistant", "content": TEXT, "refusal": None, "reasoning": REASONING,
        "reasoning_details": detail(REASONING, OPAQUE["openai"]),
        "tool_calls": [call(index, city, json.dumps({"city": city})) for index, city in enumerate(CITIES)],
    }  # fmt: skip
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls"}
    body = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
    deltas: list[Block] = [
        {"role": "assistant", "content": ""},
        {"content": "", "reasoning": REASONING[:8], "reasoning_details": detail(REASONING[:8], None)},
        {"content": "", "reasoning": REASONING[8:], "reasoning_details": detail(REASONING[8:], None)},
        {"content": "", "reasoning": None, "reasoning_details": detail("", OPAQUE["openai"])},
        {"content": TEXT[:3]},
        {"content": TEXT[3:]},
    ]
    for index, city in enumerate(CITIES):
        deltas.append({"tool_calls": [call(index, city, "")]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": more}}]} for more in _pieces(city)]
    chunk: Block = {**head, "object": "chat.completion.chunk"}
    events: list[Block] = [
        *({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas),
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        {**chunk, "choices": [], "usage": usage},
    ]
    return body, [*_sse(events), b"data: [DONE]\n\n"]


def _mistral() -> tuple[Block, list[bytes]]:
    """Content in pieces while it thinks, short ids of calls, the usage with the end."""

    def thinking(text: str) -> list[Block]:
        return [{"type": "thinking", "thinking": [{"type": "text", "text": text}], "closed": True}]

    def call(index: int, city: str) -> Block:
        called = {"name": TOOL, "arguments": json.dumps({"city": city})}
        return {"index": index, "id": f"{city.lower():x<9}", "type": "function", "function": called}

    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    }
    head = {"id": "two", "created": 1741569952, "model": "two-turn"}
    calls = [call(index, city) for index, city in enumerate(CITIES)]
    content = [*thinking(REASONING), {"type": "text", "text": TEXT}]
    message = {"role": "assistant", "content": content, "tool_calls": calls}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    body = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
    deltas: list[Block] = [
        {"role": "assistant", "content": ""},
        {"content": thinking(REASONING[:8])},
        {"content": thinking(REASONING[8:])},
        {"content": [{"type": "text", "text": TEXT[:3]}]},
        {"content": TEXT[3:]},
    ]
    chunk: Block = {**head, "object": "chat.completion.chunk"}
    last = {"index": 0, "delta": {"content": "", "tool_calls": calls}, "finish_reason": "tool_calls"}
    events: list[Block] = [
        *({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas),
        {**chunk, "choices": [last], "usage": usage},
    ]
    return body, [*_sse(events), b"data: [DONE]\n\n"]


def _responses() -> tuple[Block, list[bytes]]:
    summary = {"type": "summary_text", "text": REASONING}
    text = {"type": "output_text", "annotations": [], "logprobs": [], "text": TEXT}
    thought = {"id": "rs_1", "type": "reasoning", "encrypted_content": OPAQUE["openai-responses"], "summary": [summary]}
    message = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [text]}
    calls = [
        {
            "id": f"fc_{city}", "type": "function_call", "status": "completed", "name": TOOL,
            "call_id": f"call_{city.lower()}", "arguments": json.dumps({"city": city}),
        }
        for city in CITIES
    ]  # fmt: skip
    usage = {
        "input_tokens": PROMPT_TOKENS,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": COMPLETION_TOKENS,
        "output_tokens_details": {"reasoning_tokens": REASONING_TOKENS},
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    }
    head: Block = {
        "id": "resp_two", "object": "response", "created_at": 1741476777, "error": None, "incomplete_details": None,
        "model": "two-turn", "store": False, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    }  # fmt: skip
    body: Block = {**head, "status": "completed", "output": [thought, message, *calls], "usage": usage}
    begun = {**head, "status": "in_progress", "output": [], "usage": None}
    at = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    said = {"item_id": "msg_1", "output_index": 1, "content_index": 0}
    part = "response.reasoning_summary_part"
    events: list[Block] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**thought, "summary": []}},
        {"type": f"{part}.added", **at, "part": {"type": "summary_text", "text": ""}},
        {"type": "response.reasoning_summary_text.delta", **at, "delta": REASONING[:8]},
        {"type": "response.reasoning_summary_text.delta", **at, "delta": REASONING[8:]},
        {"type": "response.reasoning_summary_text.done", **at, "text": REASONING},
        {"type": f"{part}.done", **at, "part": summary},
        {"type": "response.output_item.done", "output_index": 0, "item": thought},
        {"type": "response.output_item.added", "output_index": 1,
         "item": {**message, "status": "in_progress", "content": []}},
        {"type": "response.content_part.added", **said, "part": {**text, "text": ""}},
        {"type": "response.output_text.delta", **said, "delta": TEXT[:3], "logprobs": []},
        {"type": "response.output_text.delta", **said, "delta": TEXT[3:], "logprobs": []},
        {"type": "response.output_text.done", **said, "text": TEXT, "logprobs": []},
        {"type": "response.content_part.done", **said, "part": text},
        {"type": "response.output_item.done", "output_index": 1, "item": message},
    ]  # fmt: skip
    for index, (city, call) in enumerate(zip(CITIES, calls, strict=True), 2):
        where = {"item_id": call["id"], "output_index": index}
        added = {**call, "status": "in_progress", "arguments": ""}
        events.append({"type": "response.output_item.added", "output_index": index, "item": added})
        more: Block = {"type": "response.function_call_arguments.delta", **where}
        events += [{**more, "delta": piece} for piece in _pieces(city)]
        events.append({"type": "response.function_call_arguments.done", **where, "arguments": call["arguments"]})
        events.append({"type": "response.output_item.done", "output_index": index, "item": call})
    events.append({"type": "response.completed", "response": body})
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return body, _sse(numbered, named=True)


def _anthropic() -> tuple[Block, list[bytes]]:
    def call(city: str, given: Block) -> Block:
        return {"type": "tool_use", "id": f"toolu_{city}", "name": TOOL, "input": given}

    usage = {
        "input_tokens": PROMPT_TOKENS, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "output_tokens": COMPLETION_TOKENS, "output_tokens_details": {"thinking_tokens": REASONING_TOKENS},
    }  # fmt: skip
    thought = {"type": "thinking", "thinking": REASONING, "signature": OPAQUE["anthropic"]}
    head = {"id": "msg_two", "type": "message", "role": "assistant", "model": "two-turn"}
    calls = [call(city, {"city": city}) for city in CITIES]
    body: Block = {
        **head, "content": [thought, {"type": "text", "text": TEXT}, *calls],
        "stop_reason": "tool_use", "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    blocks: list[tuple[Block, list[Block]]] = [
        (
            {"type": "thinking", "thinking": "", "signature": ""},
            [
                {"type": "thinking_delta", "thinking": REASONING[:8]},
                {"type": "thinking_delta", "thinking": REASONING[8:]},
                {"type": "signature_delta", "signature": OPAQUE["anthropic"]},
            ],
        ),
        (
            {"type": "text", "text": ""},
            [{"type": "text_delta", "text": TEXT[:3]}, {"type": "text_delta", "text": TEXT[3:]}],
        ),
        *(
            (call(city, {}), [{"type": "input_json_delta", "partial_json": more} for more in ("", *_pieces(city))])
            for city in CITIES
        ),
    ]
    begun = {**body, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events: list[Block] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for index, (block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": "tool_use", "stop_sequence": None}
    events += [{"type": "message_delta", "delta": ended, "usage": usage}, {"type": "message_stop"}]
    return body, _sse(events, named=True)


def _gemini() -> tuple[Block, list[bytes]]:
    usage = {
        "promptTokenCount": PROMPT_TOKENS,
        "candidatesTokenCount": COMPLETION_TOKENS - REASONING_TOKENS,
        "thoughtsTokenCount": REASONING_TOKENS,
        "totalTokenCount": PROMPT_TOKENS + COMPLETION_TOKENS,
    }
    calls: list[Block] = [
        {"functionCall": {"id": f"fc_{city}", "name": TOOL, "args": {"city": city}}} for city in CITIES
    ]
    calls[0]["thoughtSignature"] = OPAQUE["gemini"]  # only the first of several calls is signed

    def chunk(parts: list[Block], finish: str | None = None) -> Block:
        candidate: Block = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if finish is None:
            counted: Block = {"promptTokenCount": PROMPT_TOKENS, "totalTokenCount": PROMPT_TOKENS}
        else:
            candidate["finishReason"] = finish
            counted = dict(usage)
        return {
            "candidates": [candidate], "usageMetadata": counted, "modelVersion": "two-turn", "responseId": "two",
        }  # fmt: skip

    body = chunk([{"text": REASONING, "thought": True}, {"text": TEXT}, *calls], "STOP")
    events = [
        chunk([{"text": REASONING[:8], "thought": True}]),
        chunk([{"text": REASONING[8:], "thought": True}]),
        chunk([{"text": TEXT[:3]}]),
        chunk([{"text": TEXT[3:]}]),
        chunk(calls),
        chunk([{"text": ""}], "STOP"),
    ]
    return body, _sse(events, end="\r\n\r\n")


def _bedrock() -> tuple[Block, list[bytes]]:
    usage = {
        "inputTokens": PROMPT_TOKENS,
        "outputTokens": COMPLETION_TOKENS,
        "totalTokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    }
    thought = {"reasoningText": {"text": REASONING, "signature": OPAQUE["bedrock"]}}
    calls = [{"toolUse": {"toolUseId": f"tooluse_{city}", "name": TOOL, "input": {"city": city}}} for city in CITIES]
    message = {"role": "assistant", "content": [{"reasoningContent": thought}, {"text": TEXT}, *calls]}
    metrics = {"latencyMs": 420}
    body: Block = {"output": {"message": message}, "stopReason": "tool_use", "usage": usage, "metrics": metrics}
    blocks: list[tuple[Block | None, list[Block]]] = [
        (
            None,
            [
                {"reasoningContent": {"text": REASONING[:8]}},
                {"reasoningContent": {"text": REASONING[8:]}},
                {"reasoningContent": {"signature": OPAQUE["bedrock"]}},
            ],
        ),
        (None, [{"text": TEXT[:3]}, {"text": TEXT[3:]}]),
        *(
            (
                {"toolUse": {"toolUseId": f"tooluse_{city}", "name": TOOL}},
                [{"toolUse": {"input": more}} for more in _pieces(city)],
            )
            for city in CITIES
        ),
    ]
    entries: list[Block] = [{"event": "messageStart", "payload": {"role": "assistant", "p": "abcd"}}]
    for index, (start, deltas) in enumerate(blocks):
        at = {"contentBlockIndex": index, "p": "abc"}
        if start is not None:
            entries.append({"event": "contentBlockStart", "payload": {**at, "start": start}})
        entries += [{"event": "contentBlockDelta", "payload": {**at, "delta": delta}} for delta in deltas]
        entries.append({"event": "contentBlockStop", "payload": at})
    entries.append({"event": "messageStop", "payload": {"stopReason": "tool_use"}})
    entries.append({"event": "metadata", "payload": {"usage": usage, "metrics": metrics}})
    return body, [encode_entry(entry) for entry in entries]


def _cohere() -> tuple[Block, list[bytes]]:
    def call(city: str, arguments: str) -> Block:
        return {"id": f"{TOOL}_{city}", "type": "function", "function": {"name": TOOL, "arguments": arguments}}

    counts = {"input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS}
    usage = {"billed_units": {"input_tokens": 54, "output_tokens": COMPLETION_TOKENS}, "tokens": counts}
    content = [{"type": "thinking", "thinking": REASONING}, {"type": "text", "text": TEXT}]
    calls = [call(city, json.dumps({"city": city})) for city in CITIES]
    message = {"role": "assistant", "content": content, "tool_calls": calls}
    body: Block = {"id": "two", "finish_reason": "TOOL_CALL", "message": message, "usage": usage}

    def event(kind: str, index: int | None = None, **message: object) -> Block:
        at: Block = {} if index is None else {"index": index}
        return {"type": kind, **at, **({"delta": {"message": message}} if message else {})}

    events = [event("message-start", role="assistant", content=[], tool_plan="", tool_calls=[], citations=[])]
    events[0]["id"] = "two"
    for index, (kind, said) in enumerate((("thinking", REASONING), ("text", TEXT))):
        events.append(event("content-start", index, content={"type": kind, kind: ""}))
        events += [event("content-delta", index, content={kind: more}) for more in (said[:3], said[3:])]
        events.append(event("content-end", index))
    for index, city in enumerate(CITIES):
        events.append(event("tool-call-start", index, tool_calls=call(city, "")))
        for more in _pieces(city):
            events.append(event("tool-call-delta", index, tool_calls={"function": {"arguments": more}}))
        events.append(event("tool-call-end", index))
    events.append({"type": "message-end", "delta": {"finish_reason": "TOOL_CALL", "usage": usage}})
    return body, _sse(events, named=True)


def _ollama() -> tuple[Block, list[bytes]]:
    head = {"model": "two-turn", "created_at": "2025-10-17T23:14:07.414671Z"}
    counts = {
        "done": True, "done_reason": "stop", "total_duration": 174560334,
        "prompt_eval_count": PROMPT_TOKENS, "eval_count": COMPLETION_TOKENS,
    }  # fmt: skip
    calls = [
        {"id": f"call_{city}", "function": {"index": index, "name": TOOL, "arguments": {"city": city}}}
        for index, city in enumerate(CITIES)
    ]
    said = {"role": "assistant", "content": TEXT, "thinking": REASONING, "tool_calls": calls}
    body: Block = {**head, "message": said, **counts}
    messages: list[Block] = [
        {"content": "", "thinking": REASONING[:8]},
        {"content": "", "thinking": REASONING[8:]},
        {"content": TEXT[:3]},
        {"content": TEXT[3:]},
        *({"content": "", "tool_calls": [call]} for call in calls),
    ]
    lines: list[Block] = [{**head, "message": {"role": "assistant", **message}, "done": False} for message in messages]
    lines.append({**head, "message": {"role": "assistant", "content": ""}, **counts})
    return body, [json.dumps(line).encode() + b"\n" for line in lines]


_ANSWERS: Final = {
    "openai": _openai,
    "azure": _openai,
    "cloudflare": _openai,
    "huggingface": _openai,
    "mistral": _mistral,
    "openai-responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "vertex": _gemini,
    "bedrock": _bedrock,
    "cohere": _cohere,
    "ollama": _ollama,
}
