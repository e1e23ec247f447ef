"""Answers as each dialect writes them: whole, and as the events of a stream.

Formats are those of `tests/vectors`; see each file's `source`.
"""

from __future__ import annotations

import json
from typing import Final

from tests.emulator.two_turn import (
    COMPLETION_TOKENS,
    FIRST,
    OPAQUE,
    PROMPT_TOKENS,
    REASONING_TOKENS,
    Answer,
    Block,
    Calling,
)
from tests.vectors.eventstream import encode_entry


def written(dialect: str, answer: Answer = FIRST) -> tuple[Block, list[bytes]]:
    """An answer, whole and as the events of a stream."""
    return _ANSWERS[dialect](answer)


def _sse(events: list[Block], *, named: bool = False, end: str = "\n\n") -> list[bytes]:
    return [
        ((f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}{end}").encode()
        for event in events
    ]


def _cut(text: str, at: int) -> list[str]:
    """A text in two pieces; none of an empty one."""
    return [piece for piece in (text[:at], text[at:]) if piece]


def _openai(said: Answer) -> tuple[Block, list[bytes]]:
    def detail(text: str, signature: str | None) -> list[Block]:
        fields = {"text": text, "signature": signature, "id": None, "format": "anthropic-claude-v1", "index": 0}
        return [{"type": "reasoning.text", **fields}]

    def call(index: int, calling: Calling, arguments: str) -> Block:
        called = {"name": calling.name, "arguments": arguments}
        return {"index": index, "id": f"call_{calling.key.lower()}", "type": "function", "function": called}

    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        "completion_tokens_details": {"reasoning_tokens": REASONING_TOKENS},
    }
    head = {"id": "chatcmpl-two", "created": 1741569952, "model": "two-turn"}
    message: Block = {"role": "assistant", "content": said.text or None, "refusal": None}
    if said.reasoning:
        message |= {"reasoning": said.reasoning, "reasoning_details": detail(said.reasoning, OPAQUE["openai"])}
    if said.calls:
        message["tool_calls"] = [call(index, calling, calling.arguments) for index, calling in enumerate(said.calls)]
    finish = "tool_calls" if said.calls else "stop"
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    body = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
    deltas: list[Block] = [{"role": "assistant", "content": ""}]
    if said.reasoning:
        deltas += [
            {"content": "", "reasoning": more, "reasoning_details": detail(more, None)}
            for more in _cut(said.reasoning, 8)
        ]
        deltas.append({"content": "", "reasoning": None, "reasoning_details": detail("", OPAQUE["openai"])})
    deltas += [{"content": more} for more in _cut(said.text, 3)]
    for index, calling in enumerate(said.calls):
        deltas.append({"tool_calls": [call(index, calling, "")]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": more}}]} for more in calling.pieces]
    chunk: Block = {**head, "object": "chat.completion.chunk"}
    events: list[Block] = [
        *({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas),
        {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
        {**chunk, "choices": [], "usage": usage},
    ]
    return body, [*_sse(events), b"data: [DONE]\n\n"]


def _mistral(said: Answer) -> tuple[Block, list[bytes]]:
    """Content in pieces while it thinks, short ids of calls, the usage with the end."""

    def thinking(text: str) -> list[Block]:
        return [{"type": "thinking", "thinking": [{"type": "text", "text": text}], "closed": True}]

    def call(index: int, calling: Calling) -> Block:
        called = {"name": calling.name, "arguments": calling.arguments}
        return {"index": index, "id": f"{calling.key.lower():x<9}", "type": "function", "function": called}

    usage = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    }
    head = {"id": "two", "created": 1741569952, "model": "two-turn"}
    calls = [call(index, calling) for index, calling in enumerate(said.calls)]
    content = [*thinking(said.reasoning), {"type": "text", "text": said.text}] if said.reasoning else said.text
    finish = "tool_calls" if calls else "stop"
    message = {"role": "assistant", "content": content, "tool_calls": calls or None}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    body = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
    deltas: list[Block] = [
        {"role": "assistant", "content": ""},
        *({"content": thinking(more)} for more in _cut(said.reasoning, 8)),
        {"content": [{"type": "text", "text": said.text[:3]}]},
        {"content": said.text[3:]},
    ]
    chunk: Block = {**head, "object": "chat.completion.chunk"}
    last = {"index": 0, "delta": {"content": "", "tool_calls": calls or None}, "finish_reason": finish}
    events: list[Block] = [
        *({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas),
        {**chunk, "choices": [last], "usage": usage},
    ]
    return body, [*_sse(events), b"data: [DONE]\n\n"]


def _responses(said: Answer) -> tuple[Block, list[bytes]]:
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
    items: list[tuple[Block, list[Block]]] = []
    if said.reasoning:
        items.append(_reasoning_item(said.reasoning, {"item_id": "rs_1", "output_index": 0, "summary_index": 0}))
    if said.text:
        items.append(_message_item(said.text, {"item_id": "msg_1", "output_index": len(items), "content_index": 0}))
    items += [_call_item(calling, len(items) + number) for number, calling in enumerate(said.calls)]
    body: Block = {**head, "status": "completed", "output": [item for item, _ in items], "usage": usage}
    begun = {**head, "status": "in_progress", "output": [], "usage": None}
    events: list[Block] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
    ]
    for index, (item, between) in enumerate(items):
        started = {**item, **{name: empty for name, empty in _UNWRITTEN.items() if name in item}}
        events.append({"type": "response.output_item.added", "output_index": index, "item": started})
        events += between
        events.append({"type": "response.output_item.done", "output_index": index, "item": item})
    events.append({"type": "response.completed", "response": body})
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(events)]
    return body, _sse(numbered, named=True)


# What the fields of an item hold while nothing of it is written.
_UNWRITTEN: Final = {"summary": [], "content": [], "arguments": "", "input": "", "status": "in_progress"}


def _reasoning_item(text: str, at: Block) -> tuple[Block, list[Block]]:
    """An item, and its events but for the first and the last."""
    opaque, summary = OPAQUE["openai-responses"], {"type": "summary_text", "text": text}
    part, more = "response.reasoning_summary_part", "response.reasoning_summary_text"
    return {"id": "rs_1", "type": "reasoning", "encrypted_content": opaque, "summary": [summary]}, [
        {"type": f"{part}.added", **at, "part": {"type": "summary_text", "text": ""}},
        *({"type": f"{more}.delta", **at, "delta": piece} for piece in _cut(text, 8)),
        {"type": f"{more}.done", **at, "text": text},
        {"type": f"{part}.done", **at, "part": summary},
    ]


def _message_item(text: str, at: Block) -> tuple[Block, list[Block]]:
    part: Block = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    return {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": [part]}, [
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []} for piece in _cut(text, 3)),
        {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
    ]


def _call_item(calling: Calling, index: int) -> tuple[Block, list[Block]]:
    kind, field = ("custom_tool_call", "input") if calling.custom else ("function_call", "arguments")
    given, pieces = (calling.given["input"],) * 2 if calling.custom else (calling.arguments, calling.pieces)
    at: Block = {"item_id": f"fc_{calling.key}", "output_index": index}
    item: Block = {
        "id": at["item_id"], "type": kind, "status": "completed", "name": calling.name,
        "call_id": f"call_{calling.key.lower()}", field: given,
    }  # fmt: skip
    more = f"response.{kind}_{field}"  # as in `response.function_call_arguments`
    return item, [
        *({"type": f"{more}.delta", **at, "delta": piece} for piece in pieces),
        {"type": f"{more}.done", **at, field: given},
    ]


def _anthropic(said: Answer) -> tuple[Block, list[bytes]]:
    def call(calling: Calling, given: Block) -> Block:
        return {"type": "tool_use", "id": f"toolu_{calling.key}", "name": calling.name, "input": given}

    usage = {
        "input_tokens": PROMPT_TOKENS, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
        "output_tokens": COMPLETION_TOKENS, "output_tokens_details": {"thinking_tokens": REASONING_TOKENS},
    }  # fmt: skip
    head = {"id": "msg_two", "type": "message", "role": "assistant", "model": "two-turn"}
    blocks: list[tuple[Block, Block, list[Block]]] = []  # whole, at its start, and what comes then
    if said.reasoning:
        signature = OPAQUE["anthropic"]
        thoughts: list[Block] = [{"type": "thinking_delta", "thinking": more} for more in _cut(said.reasoning, 8)]
        blocks.append(
            (
                {"type": "thinking", "thinking": said.reasoning, "signature": signature},
                {"type": "thinking", "thinking": "", "signature": ""},
                [*thoughts, {"type": "signature_delta", "signature": signature}],
            )
        )
    if said.text:
        texts: list[Block] = [{"type": "text_delta", "text": more} for more in _cut(said.text, 3)]
        blocks.append(({"type": "text", "text": said.text}, {"type": "text", "text": ""}, texts))
    for calling in said.calls:
        inputs: list[Block] = [{"type": "input_json_delta", "partial_json": more} for more in ("", *calling.pieces)]
        blocks.append((call(calling, calling.given), call(calling, {}), inputs))
    finish = "tool_use" if said.calls else "end_turn"
    body: Block = {
        **head, "content": [whole for whole, _, _ in blocks],
        "stop_reason": finish, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    begun = {**body, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events: list[Block] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for index, (_, block, deltas) in enumerate(blocks):
        events.append({"type": "content_block_start", "index": index, "content_block": block})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": finish, "stop_sequence": None}
    events += [{"type": "message_delta", "delta": ended, "usage": usage}, {"type": "message_stop"}]
    return body, _sse(events, named=True)


def _gemini(said: Answer) -> tuple[Block, list[bytes]]:
    usage = {
        "promptTokenCount": PROMPT_TOKENS,
        "candidatesTokenCount": COMPLETION_TOKENS - REASONING_TOKENS,
        "thoughtsTokenCount": REASONING_TOKENS,
        "totalTokenCount": PROMPT_TOKENS + COMPLETION_TOKENS,
    }
    calls: list[Block] = [
        {"functionCall": {"id": f"fc_{calling.key}", "name": calling.name, "args": calling.given}}
        for calling in said.calls
    ]
    for call in calls[:1]:
        call["thoughtSignature"] = OPAQUE["gemini"]  # only the first of several is signed

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

    thoughts: list[Block] = [{"text": said.reasoning, "thought": True}] if said.reasoning else []
    texts: list[Block] = [{"text": said.text}] if said.text else []
    body = chunk([*thoughts, *texts, *calls], "STOP")
    events = [
        *(chunk([{"text": more, "thought": True}]) for more in _cut(said.reasoning, 8)),
        *(chunk([{"text": more}]) for more in _cut(said.text, 3)),
        *([chunk(calls)] if calls else []),
        chunk([{"text": ""}], "STOP"),
    ]
    return body, _sse(events, end="\r\n\r\n")


def _bedrock(said: Answer) -> tuple[Block, list[bytes]]:
    usage = {
        "inputTokens": PROMPT_TOKENS,
        "outputTokens": COMPLETION_TOKENS,
        "totalTokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    }
    blocks: list[tuple[Block, Block | None, list[Block]]] = []  # whole, at its start, and what comes then
    if said.reasoning:
        signature = OPAQUE["bedrock"]
        thoughts: list[Block] = [{"reasoningContent": {"text": more}} for more in _cut(said.reasoning, 8)]
        thought = {"reasoningText": {"text": said.reasoning, "signature": signature}}
        signed: Block = {"reasoningContent": {"signature": signature}}
        blocks.append(({"reasoningContent": thought}, None, [*thoughts, signed]))
    if said.text:
        blocks.append(({"text": said.text}, None, [{"text": more} for more in _cut(said.text, 3)]))
    for calling in said.calls:
        called = {"toolUseId": f"tooluse_{calling.key}", "name": calling.name}
        inputs: list[Block] = [{"toolUse": {"input": more}} for more in calling.pieces]
        blocks.append(({"toolUse": {**called, "input": calling.given}}, {"toolUse": called}, inputs))
    finish = "tool_use" if said.calls else "end_turn"
    message = {"role": "assistant", "content": [whole for whole, _, _ in blocks]}
    metrics = {"latencyMs": 420}
    body: Block = {"output": {"message": message}, "stopReason": finish, "usage": usage, "metrics": metrics}
    entries: list[Block] = [{"event": "messageStart", "payload": {"role": "assistant", "p": "abcd"}}]
    for index, (_, start, deltas) in enumerate(blocks):
        at = {"contentBlockIndex": index, "p": "abc"}
        if start is not None:
            entries.append({"event": "contentBlockStart", "payload": {**at, "start": start}})
        entries += [{"event": "contentBlockDelta", "payload": {**at, "delta": delta}} for delta in deltas]
        entries.append({"event": "contentBlockStop", "payload": at})
    entries.append({"event": "messageStop", "payload": {"stopReason": finish}})
    entries.append({"event": "metadata", "payload": {"usage": usage, "metrics": metrics}})
    return body, [encode_entry(entry) for entry in entries]


def _cohere(said: Answer) -> tuple[Block, list[bytes]]:
    def call(calling: Calling, arguments: str) -> Block:
        called = {"name": calling.name, "arguments": arguments}
        return {"id": f"{calling.name}_{calling.key}", "type": "function", "function": called}

    counts = {"input_tokens": PROMPT_TOKENS, "output_tokens": COMPLETION_TOKENS}
    usage = {"billed_units": {"input_tokens": 54, "output_tokens": COMPLETION_TOKENS}, "tokens": counts}
    parts = [(kind, text) for kind, text in (("thinking", said.reasoning), ("text", said.text)) if text]
    message: Block = {"role": "assistant", "content": [{"type": kind, kind: text} for kind, text in parts]}
    if said.calls:
        message["tool_calls"] = [call(calling, calling.arguments) for calling in said.calls]
    finish = "TOOL_CALL" if said.calls else "COMPLETE"
    body: Block = {"id": "two", "finish_reason": finish, "message": message, "usage": usage}

    def event(kind: str, index: int | None = None, **message: object) -> Block:
        at: Block = {} if index is None else {"index": index}
        return {"type": kind, **at, **({"delta": {"message": message}} if message else {})}

    events = [event("message-start", role="assistant", content=[], tool_plan="", tool_calls=[], citations=[])]
    events[0]["id"] = "two"
    for index, (kind, text) in enumerate(parts):
        events.append(event("content-start", index, content={"type": kind, kind: ""}))
        events += [event("content-delta", index, content={kind: more}) for more in _cut(text, 3)]
        events.append(event("content-end", index))
    for index, calling in enumerate(said.calls):
        events.append(event("tool-call-start", index, tool_calls=call(calling, "")))
        for more in calling.pieces:
            events.append(event("tool-call-delta", index, tool_calls={"function": {"arguments": more}}))
        events.append(event("tool-call-end", index))
    events.append({"type": "message-end", "delta": {"finish_reason": finish, "usage": usage}})
    return body, _sse(events, named=True)


def _ollama(said: Answer) -> tuple[Block, list[bytes]]:
    head = {"model": "two-turn", "created_at": "2025-10-17T23:14:07.414671Z"}
    counts = {
        "done": True, "done_reason": "stop", "total_duration": 174560334, "prompt_eval_duration": 13074791,
        "eval_duration": 52479709,
        "prompt_eval_count": PROMPT_TOKENS, "eval_count": COMPLETION_TOKENS,
    }  # fmt: skip
    calls = [
        {"id": f"call_{each.key}", "function": {"index": index, "name": each.name, "arguments": each.given}}
        for index, each in enumerate(said.calls)
    ]
    message: Block = {"role": "assistant", "content": said.text}
    message |= {"thinking": said.reasoning} if said.reasoning else {}
    message |= {"tool_calls": calls} if calls else {}
    body: Block = {**head, "message": message, **counts}
    messages: list[Block] = [
        *({"content": "", "thinking": more} for more in _cut(said.reasoning, 8)),
        *({"content": more} for more in _cut(said.text, 3)),
        *({"content": "", "tool_calls": [call]} for call in calls),
    ]
    lines: list[Block] = [{**head, "message": {"role": "assistant", **each}, "done": False} for each in messages]
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
