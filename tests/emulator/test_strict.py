"""The emulated providers refuse what the real ones do, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from tests.emulator.strict import problem

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}
USER = [{"role": "user", "content": "Hi"}]
THINKING = {"type": "enabled", "budget_tokens": 1024}


def chat(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": USER, **fields}


def claude(**fields: Any) -> dict[str, Any]:
    return {"model": "m", "messages": USER, "max_tokens": 2048, **fields}


def gemini(**fields: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], **fields}


def bedrock(*tools: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}
    return body | ({"toolConfig": {"tools": [{"toolSpec": tool} for tool in tools]}} if tools else {})


def function(name: str, parameters: object = PARAMETERS) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TAKEN = [
    ("openai", chat(tools=[function("a")], tool_choice="auto", store=False)),
    ("openai-responses", {"model": "m", "input": "Hi", "store": False, "reasoning": {"effort": "low"}}),
    ("anthropic", claude(thinking=THINKING, tools=[{"name": "a", "input_schema": PARAMETERS}])),
    ("gemini", gemini(system_instruction={"parts": [{"text": "Hi"}]}, generationConfig={"topK": 40})),
    ("bedrock", bedrock({"name": "a", "inputSchema": {"json": PARAMETERS}})),
    ("cohere", chat(k=40, tools=[function("a")])),
    ("ollama", chat(anything=1)),
]
REFUSED = [
    ("openai", chat(cache_control={})),
    ("openai", chat(messages=[{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {}}]}])),
    ("openai", chat(tools=[])),
    ("openai", chat(tool_choice="auto")),
    ("openai", chat(tools=[function("a.b")])),
    ("openai", chat(tools=[function("a"), function("a")])),
    ("openai", chat(tools=[function("a", {"anyOf": [PARAMETERS]})])),
    ("openai-responses", {"model": "m", "input": [{"type": "reasoning", "summary": []}], "store": False}),
    ("anthropic", claude(context_management={})),
    ("anthropic", claude(metadata={"user_id": "u", "team": "t"})),
    ("anthropic", claude(thinking=THINKING, temperature=0.5)),
    ("anthropic", claude(thinking={**THINKING, "budget_tokens": 4096})),
    ("anthropic", claude(messages=[*USER, {"role": "system", "content": "Hi"}])),
    ("anthropic", claude(messages=[{"role": "user", "content": " \n"}])),
    ("anthropic", claude(messages=[*USER, {"role": "assistant", "content": "Hi "}])),
    ("gemini", gemini(top_k=40)),
    ("gemini", gemini(tools=[{"functionDeclarations": [{"name": "a", "parameters": {"$schema": "s"}}]}])),
    ("gemini", gemini(contents=[{"role": "user", "parts": []}])),
    ("bedrock", bedrock({"name": "a.b", "inputSchema": {"json": PARAMETERS}})),
    ("bedrock", bedrock({"name": "a", "description": "", "inputSchema": {"json": PARAMETERS}})),
    ("cohere", chat(top_k=40)),
]


@pytest.mark.parametrize(("dialect", "body"), TAKEN)
def test_is_taken(dialect: str, body: dict[str, Any]) -> None:
    assert problem(dialect, body, {}) is None


@pytest.mark.parametrize(("dialect", "body"), REFUSED)
def test_is_refused(dialect: str, body: dict[str, Any]) -> None:
    assert problem(dialect, body, {})


def test_a_beta_takes_its_fields() -> None:
    assert (
        problem("anthropic", claude(context_management={}), {"anthropic-beta": "context-management-2025-06-27"}) is None
    )
