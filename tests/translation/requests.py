"""One request of each API that holds everything at once, so that tests can take from it and change it."""

from __future__ import annotations

from typing import Any, Final

REQUESTS: Final[dict[str, dict[str, Any]]] = {
    "chat": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "developer", "content": [{"type": "text", "text": "d"}]},
            {
                "role": "user",
                "name": "bob",
                "content": [
                    {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo=", "detail": "low"}},
                    {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
                    {
                        "type": "file",
                        "file": {"file_data": "data:application/pdf;base64,JVBERi0=", "filename": "a.pdf"},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": "x",
                "reasoning_content": "think",
                "reasoning_details": [
                    {
                        "type": "reasoning.text",
                        "text": "t",
                        "signature": "sig",
                        "format": "anthropic-claude-v1",
                        "index": 0,
                    }
                ],
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "f", "arguments": '{"a":1}'},
                        "extra_content": {"google": {"thought_signature": "zz"}},
                    },
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
                ],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "r"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "r2"}]},
            {"role": "assistant", "content": None, "refusal": "no"},
            {"role": "user", "content": "go"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "d",
                    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}},
                    "strict": True,
                },
            },
            {"type": "function", "function": {"name": "g"}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True},
        },
        "max_tokens": 2000,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["a", "b"],
        "seed": 1,
        "n": 1,
        "logprobs": True,
        "top_logprobs": 2,
        "logit_bias": {"5": 1},
        "reasoning_effort": "low",
        "user": "u",
        "metadata": {"a": "b"},
        "stream": True,
        "stream_options": {"include_usage": True},
        "presence_penalty": 0.1,
        "top_k": 4,
    },
    "completions": {
        "model": "m",
        "prompt": "hi",
        "max_tokens": 5,
        "stream": True,
        "stop": "x",
        "n": 1,
        "echo": False,
        "suffix": None,
        "best_of": 1,
        "logprobs": 2,
    },
    "anthropic": {
        "model": "m",
        "max_tokens": 3000,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "hi"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}},
                    {
                        "type": "document",
                        "title": "t",
                        "source": {"type": "text", "media_type": "text/plain", "data": "doc"},
                        "citations": {"enabled": True},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "t", "signature": "s"},
                    {"type": "redacted_thinking", "data": "enc"},
                    {"type": "text", "text": "x", "citations": []},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t1",
                        "content": [{"type": "text", "text": "r"}],
                        "is_error": True,
                    },
                    {"type": "text", "text": "more"},
                ],
            },
        ],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        "stop_sequences": ["x"],
        "top_k": 3,
        "top_p": 0.5,
        "temperature": 1,
        "metadata": {"user_id": "u"},
        "stream": True,
    },
    "ollama": {
        "model": "m",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": "hi", "images": ["iVBORw0KGgo="]},
            {
                "role": "assistant",
                "content": "so",
                "thinking": "th",
                "tool_calls": [
                    {"id": "c", "function": {"index": 0, "name": "f", "arguments": {"a": 1}}},
                    {"function": {"name": "g", "arguments": {}}},
                ],
            },
            {"role": "tool", "content": "r", "tool_name": "f", "tool_call_id": "c"},
            {"role": "tool", "content": "q", "tool_name": "g"},
        ],
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
        ],
        "format": {"type": "object"},
        "think": "high",
        "logprobs": True,
        "top_logprobs": 2,
        "keep_alive": "5m",
        "options": {
            "temperature": 0.5,
            "top_p": 0.5,
            "top_k": 3,
            "min_p": 0.1,
            "num_predict": 100,
            "stop": ["x"],
            "seed": 1,
            "repeat_penalty": 1.1,
            "presence_penalty": 0.5,
            "frequency_penalty": 0.5,
            "num_ctx": 4096,
        },
        "stream": True,
    },
    "generate": {
        "model": "m",
        "prompt": "hi",
        "system": "s",
        "suffix": "",
        "images": ["iVBORw0KGgo="],
        "format": "json",
        "think": True,
        "options": {"temperature": 0.5, "num_predict": 100, "stop": ["x"], "mirostat": 1},
        "keep_alive": 300,
        "raw": False,
        "stream": True,
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "hi"},
                    {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
                    {"fileData": {"fileUri": "https://x/y.pdf", "mimeType": "application/pdf"}},
                ],
            },
            {
                "role": "model",
                "parts": [
                    {"text": "th", "thought": True},
                    {"functionCall": {"id": "c", "name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
                    {"functionCall": {"name": "g", "args": {}}},
                ],
            },
            {
                "role": "user",
                "parts": [
                    {"functionResponse": {"id": "c", "name": "f", "response": {"output": "r"}}},
                    {"functionResponse": {"name": "g", "response": {"error": "e"}}},
                ],
            },
        ],
        "tools": [
            {
                "functionDeclarations": [
                    {
                        "name": "f",
                        "description": "d",
                        "parameters": {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}},
                    },
                    {"name": "g"},
                ]
            }
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "temperature": 0.5,
            "topP": 0.5,
            "topK": 3,
            "candidateCount": 1,
            "maxOutputTokens": 100,
            "stopSequences": ["x"],
            "responseMimeType": "application/json",
            "responseSchema": {"type": "OBJECT"},
            "seed": 1,
            "thinkingConfig": {"includeThoughts": True, "thinkingBudget": 128},
        },
    },
    "responses": {
        "model": "m",
        "instructions": "s",
        "input": [
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "hi"},
                    {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
                ],
            },
            {
                "type": "reasoning",
                "id": "rs",
                "summary": [{"type": "summary_text", "text": "t"}],
                "encrypted_content": "enc",
            },
            {
                "type": "message",
                "role": "assistant",
                "id": "m1",
                "status": "completed",
                "content": [{"type": "output_text", "text": "x", "annotations": []}],
            },
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "id": "fc"},
            {"type": "function_call_output", "call_id": "c1", "output": "r"},
        ],
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "max_output_tokens": 100,
        "temperature": 0.5,
        "stream": True,
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "metadata": {"a": "b"},
    },
}
