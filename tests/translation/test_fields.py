"""Fields that a target does not have, from every API to every dialect: hints passed over and said, demands refused."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Final

import pytest

from tests.rows import every
from tests.translation.targets import MODELS, Json, asked, target, written
from tests.translation.test_noise import APIS
from weebill.gateway.translation import translator
from weebill.providers.base import Target
from weebill.wire.errors import ApiError

EPHEMERAL: Final = {"type": "ephemeral"}
SCHEMA: Final = {"type": "object", "properties": {"a": {"type": "string"}}}
FUNCTION: Final = {"type": "function", "function": {"name": "f", "parameters": SCHEMA}}
TOOL: Final = {"name": "f", "input_schema": SCHEMA}
OFFER: Final = {"type": "function", "name": "f", "parameters": SCHEMA}
STRICT: Final = {"type": "function", "function": {"name": "f", "parameters": SCHEMA, "strict": True}}
DOCUMENT: Final = {"type": "text", "media_type": "text/plain", "data": "a"}
CITED: Final = {"messages": [{"role": "user", "content": [
    {"type": "document", "source": DOCUMENT, "citations": {"enabled": True}}, {"type": "text", "text": "b"},
]}]}  # fmt: skip
DECLARED: Final = [{"functionDeclarations": [{"name": "f"}]}]
TARGETS: Final[dict[str, tuple[str, Target]]] = {
    **{dialect: (dialect, target(dialect)) for dialect in MODELS},
    "groq": ("openai", target("openai", "llama-3.3-70b-versatile", provider="groq")),
    "openrouter": ("openai", target("openai", "anthropic/claude-sonnet-4.5", provider="openrouter")),
    "nova": ("bedrock", target("bedrock", "amazon.nova-pro-v1:0")),
}


def said(text: str = "a", **members: object) -> Json:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": text, **members}]}]}


def config(**fields: object) -> Json:
    return {"generationConfig": fields}


# API, what the client calls the field, the fields, and the words of which one stands in a request that carries it.
HINTS: Final[list[tuple[str, str, Json, tuple[str, ...]]]] = [
    ("chat", "metadata", {"metadata": {"MARK": "1"}}, ("MARK",)),
    ("chat", "user", {"user": "MARK"}, ("MARK",)),
    ("chat", "safety_identifier", {"safety_identifier": "MARK"}, ("MARK",)),
    ("chat", "prompt_cache_key", {"prompt_cache_key": "MARK"}, ("MARK",)),
    ("chat", "prompt_cache_retention", {"prompt_cache_retention": "24h"}, ("24h",)),
    ("chat", "service_tier", {"service_tier": "flex"}, ("flex",)),
    ("chat", "service_tier", {"service_tier": "MARK"}, ("MARK",)),
    ("chat", "store", {"store": True}, ('"store"',)),
    ("chat", "top_k", {"top_k": 777}, ("777",)),
    ("chat", "parallel_tool_calls", {"parallel_tool_calls": False, "tools": [FUNCTION]}, ("parallel",)),
    ("chat", "verbosity", {"verbosity": "low"}, ("low",)),
    ("chat", "reasoning_effort", {"reasoning_effort": "high"}, ("effort", "hink")),
    ("chat", "x_new", {"x_new": {"MARK": 1}}, ("MARK",)),
    ("chat", "cache_control", said(cache_control=EPHEMERAL), ("cache",)),
    ("chat", "cache_control", {"tools": [{**FUNCTION, "cache_control": EPHEMERAL}]}, ("cache",)),
    ("chat", "cache_control", {"messages": [{"role": "system", "content": "s", "cache_control": EPHEMERAL}]},
     ("cache",)),
    ("chat", "messages[0].content[0].cache_control", said(cache_control={**EPHEMERAL, "MARK": 1}), ("MARK",)),
    ("chat", "messages[0].mood", {"messages": [{"role": "user", "content": "a", "mood": "MARK"}]}, ("MARK",)),
    ("chat", "messages[1].mood", {"messages": [{"role": "assistant", "content": "a"}, {"role": "user", "content": "a",
     "mood": "MARK"}]}, ("MARK",)),
    ("chat", "tools[0].defer_loading", {"tools": [{**FUNCTION, "defer_loading": True}]}, ("defer",)),
    ("chat", "prediction", {"prediction": {"type": "content", "content": "MARK"}}, ("MARK",)),
    ("chat", "web_search_options", {"web_search_options": {"search_context_size": "low"}}, ("low",)),
    ("chat", "tools[0]", {"tools": [{"type": "web_search"}]}, ("web_search",)),
    ("chat", "tools[1]", {"tools": [FUNCTION, {"type": "code_interpreter"}]}, ("code_interpreter",)),
    ("anthropic", "context_management", {"context_management": {"edits": [{"type": "MARK"}]}}, ("MARK",)),
    ("anthropic", "user", {"metadata": {"user_id": "MARK"}}, ("MARK",)),
    ("anthropic", "metadata.session", {"metadata": {"session": "MARK"}}, ("MARK",)),
    ("anthropic", "service_tier", {"service_tier": "standard_only"}, ("standard_only", '"default"')),
    ("anthropic", "service_tier", {"service_tier": "MARK"}, ("MARK",)),
    ("anthropic", "cache_control", {"cache_control": EPHEMERAL}, ("cache",)),
    ("anthropic", "cache_control", {"system": [{"type": "text", "text": "s", "cache_control": EPHEMERAL}]}, ("cache",)),
    ("anthropic", "cache_control", {"tools": [{**TOOL, "cache_control": EPHEMERAL}]}, ("cache",)),
    ("anthropic", "cache_control", said(cache_control={**EPHEMERAL, "ttl": "1h"}), ("cache",)),
    ("anthropic", "messages[0].content[0].cache_control.ttl", said(cache_control={**EPHEMERAL, "ttl": "9h"}), ("9h",)),
    ("anthropic", "messages[0].content[0].cache_control.scope", said(cache_control={**EPHEMERAL, "scope": "MARK"}),
     ("MARK",)),
    ("anthropic", "output_config.task_budget", {"output_config": {"task_budget": {"total": 777}}}, ("777",)),
    ("anthropic", "output_config.effort", {"output_config": {"effort": "MARK"}}, ("MARK",)),
    ("anthropic", "output_config.effort", {"output_config": {"effort": "low"}}, ("low", "budget", "Budget")),
    ("anthropic", "betas", {"betas": ["MARK"]}, ("MARK",)),
    ("anthropic", "top_k", {"top_k": 777}, ("777",)),
    ("anthropic", "tools[0].defer_loading", {"tools": [{**TOOL, "defer_loading": True}]}, ("defer",)),
    ("anthropic", "tool_choice", {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
     ("parallel",)),
    ("anthropic", "thinking", {"thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 4000},
     ("hink", "effort")),
    ("anthropic", "thinking.type", {"thinking": {"type": "MARK"}}, ("MARK",)),
    ("anthropic", "citations", CITED, ("citation", '"documents"')),  # which Cohere cites anyway
    ("anthropic", "tools[0].strict", {"tools": [{**TOOL, "strict": True}]}, ("strict", "VALIDATED")),
    ("chat", "tools[0].strict", {"tools": [STRICT]}, ("strict", "VALIDATED")),
    ("responses", "tools[0].strict", {"tools": [{**OFFER, "strict": True}]}, ("strict", "VALIDATED")),
    ("anthropic", "x_new", {"x_new": {"MARK": 1}}, ("MARK",)),
    ("anthropic", "messages[0].mood", {"messages": [{"role": "user", "content": "a", "mood": "MARK"}]}, ("MARK",)),
    ("anthropic", "tools[0]", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, ("web_search",)),
    ("anthropic", "tools[1]", {"tools": [TOOL, {"type": "code_execution_20250825", "name": "code_execution"}]},
     ("code_execution",)),
    ("anthropic", "mcp_servers", {"mcp_servers": [{"type": "url", "url": "u", "name": "MARK"}]}, ("MARK",)),
    ("anthropic", "inference_geo", {"inference_geo": "MARK"}, ("MARK",)),
    ("responses", "client_metadata", {"client_metadata": {"MARK": "1"}}, ("MARK",)),
    ("responses", "metadata", {"metadata": {"MARK": "1"}}, ("MARK",)),
    ("responses", "user", {"user": "MARK"}, ("MARK",)),
    ("responses", "safety_identifier", {"safety_identifier": "MARK"}, ("MARK",)),
    ("responses", "prompt_cache_key", {"prompt_cache_key": "MARK"}, ("MARK",)),
    ("responses", "service_tier", {"service_tier": "flex"}, ("flex",)),
    ("responses", "service_tier", {"service_tier": "MARK"}, ("MARK",)),
    ("responses", "parallel_tool_calls", {"parallel_tool_calls": False, "tools": [OFFER]}, ("parallel",)),
    ("responses", "text.verbosity", {"text": {"verbosity": "low"}}, ("low",)),
    ("responses", "reasoning", {"reasoning": {"effort": "high"}}, ("effort", "hink")),
    ("responses", "reasoning.effort", {"reasoning": {"effort": "MARK"}}, ("MARK",)),
    ("responses", "max_tool_calls", {"max_tool_calls": 3}, ("max_tool_calls",)),
    ("responses", "truncation", {"truncation": "auto"}, ("truncation",)),
    ("responses", "top_k", {"top_k": 777}, ("777",)),
    ("responses", "x_new", {"x_new": {"MARK": 1}}, ("MARK",)),
    ("responses", "tools.defer_loading", {"tools": [{**OFFER, "defer_loading": True}]}, ("defer",)),
    ("responses", "tools[0]", {"tools": [{"type": "web_search"}]}, ("web_search",)),
    ("responses", "tools[1]", {"tools": [OFFER, {"type": "code_interpreter", "container": {"type": "auto"}}]},
     ("code_interpreter",)),
    ("responses", "tools[0]", {"tools": [{"type": "computer_use_preview", "environment": "linux"}]}, ("computer",)),
    ("gemini", "safetySettings", {"safetySettings": [{"category": "MARK"}]}, ("MARK",)),
    ("gemini", "labels", {"labels": {"MARK": "b"}}, ("MARK",)),
    ("gemini", "serviceTier", {"serviceTier": "MARK"}, ("MARK",)),
    ("gemini", "store", {"store": True}, ('"store"',)),
    ("gemini", "generationConfig.topK", config(topK=777), ("777",)),
    ("gemini", "generationConfig.thinkingConfig", config(thinkingConfig={"thinkingBudget": 2048}), ("hink", "effort")),
    ("gemini", "generationConfig.xNew", config(xNew="MARK"), ("MARK",)),
    ("gemini", "generationConfig.mediaResolution", config(mediaResolution="MARK"), ("MARK",)),
    ("gemini", "xNew", {"xNew": "MARK"}, ("MARK",)),
    ("gemini", "tools.googleSearch", {"tools": [{"googleSearch": {}}]}, ("googleSearch",)),
    ("gemini", "tools.codeExecution", {"tools": [{"codeExecution": {}}]}, ("codeExecution",)),
    ("gemini", "tools.computerUse", {"tools": [{"computerUse": {"environment": "E"}}]}, ("computerUse",)),
]  # fmt: skip
# The same of demands; none is passed over but where all is to be.
DEMANDS: Final[list[tuple[str, str, Json, tuple[str, ...]]]] = [
    ("chat", "n", {"n": 7}, (":7",)),
    ("chat", "logprobs", {"logprobs": True}, ("ogprobs",)),
    ("chat", "top_logprobs", {"logprobs": True, "top_logprobs": 7}, (":7",)),
    ("chat", "logit_bias", {"logit_bias": {"777": 1}}, ("777",)),
    ("chat", "response_format", {"response_format": {"type": "json_schema", "json_schema": {"name": "s",
     "schema": {"type": "object", "properties": {"MARK": {"type": "string"}}}}}}, ("MARK",)),
    ("chat", "tool_choice", {"tools": [FUNCTION], "tool_choice": "required"}, ("required", "any", "ANY", "REQUIRED",
     "grammar")),
    ("chat", "tool_choice", {"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "f"}}},
     ("oice", "allowed", "grammar", "const")),
    ("chat", "audio", {"modalities": ["text", "audio"], "audio": {"voice": "MARK", "format": "pcm16"}}, ("MARK",)),
    ("chat", "modalities", {"modalities": ["image"]}, ("image", "IMAGE")),
    ("chat", "stop", {"stop": ["MARK"]}, ("MARK",)),
    ("chat", "stop", {"stop": ["MARK", "b", "c", "d", "e", "g"]}, ("MARK",)),
    ("chat", "guided_json", {"guided_json": {"MARK": 1}}, ("MARK",)),
    ("anthropic", "stop_sequences", {"stop_sequences": ["MARK", "b", "c", "d", "e", "g"]}, ("MARK",)),
    ("anthropic", "tool_choice", {"tools": [TOOL], "tool_choice": {"type": "any"}}, ("required", "any", "ANY",
     "REQUIRED", "grammar")),
    ("anthropic", "tool_choice", {"tools": [{"type": "web_search_20250305", "name": "web_search"}],
     "tool_choice": {"type": "tool", "name": "web_search"}}, ("web_search",)),
    ("anthropic", "output_config.format", {"output_config": {"format": {"type": "json_schema", "schema":
     {"type": "object", "properties": {"MARK": {"type": "string"}}}}}}, ("MARK",)),
    ("responses", "top_logprobs", {"top_logprobs": 7, "include": ["message.output_text.logprobs"]}, (":7",)),
    ("responses", "text.format", {"text": {"format": {"type": "json_schema", "name": "s", "schema":
     {"type": "object", "properties": {"MARK": {"type": "string"}}}}}}, ("MARK",)),
    ("responses", "tool_choice", {"tools": [OFFER], "tool_choice": "required"}, ("required", "any", "ANY",
     "REQUIRED", "grammar")),
    ("responses", "tool_choice", {"tools": [{"type": "web_search"}], "tool_choice": {"type": "web_search"}},
     ("web_search",)),
    ("responses", "background", {"background": True}, ("background",)),
    ("responses", "conversation", {"conversation": "MARK"}, ("MARK",)),
    ("responses", "prompt", {"prompt": {"id": "MARK"}}, ("MARK",)),
    ("gemini", "generationConfig.candidateCount", config(candidateCount=7), (":7", ": 7")),
    ("gemini", "generationConfig.responseLogprobs", config(responseLogprobs=True, logprobs=7), (":7", ": 7")),
    ("gemini", "generationConfig.responseSchema", config(responseMimeType="application/json",
     responseSchema={"type": "OBJECT", "properties": {"MARK": {"type": "STRING"}}}), ("MARK",)),
    ("gemini", "toolConfig.functionCallingConfig", {"tools": DECLARED,
     "toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, ("required", "any", "ANY", "REQUIRED", "grammar")),
    ("gemini", "generationConfig.responseModalities", config(responseModalities=["IMAGE"]), ("image", "IMAGE")),
    ("gemini", "generationConfig.stopSequences", config(stopSequences=["MARK", "b", "c", "d", "e", "g"]), ("MARK",)),
    ("gemini", "cachedContent", {"cachedContent": "cachedContents/MARK"}, ("MARK",)),
]  # fmt: skip
# What asks for nothing, or for what is so anyway.
IDLE: Final[list[tuple[str, Json]]] = [
    *[("chat", {name: value}) for name, value in {
        "top_logprobs": 0, "logprobs": False, "n": 1, "best_of": 1, "echo": False, "suffix": "", "logit_bias": {},
        "stop": [], "modalities": ["text"], "presence_penalty": 0, "frequency_penalty": 0.0, "repetition_penalty": 1.0,
        "min_p": 0, "tools": [], "functions": [], "response_format": {"type": "text"}, "verbosity": "medium",
        "store": False, "background": False, "guided_json": None, "guided_regex": "", "grammar": "", "metadata": {},
        "user": "", "prediction": None, "previous_response_id": "", "conversation": "", "parallel_tool_calls": True,
    }.items()],
    ("chat", {"top_logprobs": 0, "logprobs": False}),
    ("chat", {"stop": ""}),
    ("chat", {"stop": [""]}),
    ("chat", {"modalities": []}),
    ("chat", {"response_format": {}}),
    ("chat", {"tools": [FUNCTION], "tool_choice": "auto"}),
    ("chat", {"tool_choice": "none"}),
    *[("completions", {"model": "m", "prompt": "Hi", name: value}) for name, value in {
        "best_of": 1, "echo": False, "suffix": "", "n": 1, "logit_bias": {}, "stop": [], "top_logprobs": 0,
    }.items()],
    *[("anthropic", {name: value}) for name, value in {
        "stop_sequences": [], "tools": [], "metadata": {}, "mcp_servers": [], "context_management": {}, "n": 1,
        "output_config": {}, "system": "", "thinking": {"type": "disabled"},
    }.items()],
    *[("responses", {name: value}) for name, value in {
        "previous_response_id": "", "conversation": "", "prompt": {}, "background": False, "top_logprobs": 0,
        "include": [], "truncation": "disabled", "text": {"format": {"type": "text"}, "verbosity": "medium"}, "n": 1,
        "reasoning": {"context": "auto"}, "tool_choice": "auto", "tools": [], "metadata": {},
        "instructions": "",
    }.items()],
    ("responses", {"conversation": None}),
    *[("gemini", config(**{name: value})) for name, value in {
        "responseLogprobs": False, "logprobs": 0, "candidateCount": 1, "stopSequences": [], "responseSchema": {},
        "responseMimeType": "", "responseModalities": ["TEXT"], "presencePenalty": 0, "speechConfig": {},
        "mediaResolution": "MEDIA_RESOLUTION_UNSPECIFIED", "thinkingConfig": {},
    }.items()],
    ("gemini", {"safetySettings": [], "cachedContent": "", "labels": {}, "tools": [], "toolConfig": {}}),
    ("gemini", {"toolConfig": {"functionCallingConfig": {"mode": "AUTO"}}}),
]  # fmt: skip


def ids(rows: list[tuple[str, str, Json, tuple[str, ...]]]) -> list[str]:
    return [f"{api}-{name}" for api, name, _, _ in rows]


# What else may be passed over together with a field.
ALONG_WITH_IT: Final = {
    "messages[0].content[0].cache_control": ("cache_control",),
    "messages[0].content[0].cache_control.ttl": ("cache_control",),
    "messages[0].content[0].cache_control.scope": ("cache_control",),
    # An effort leaves no room for an answer of 64 tokens.
    "output_config.effort": ("max_tokens",),
}


def head(path: str) -> str:
    return path.partition(".")[0].partition("[")[0]


# What a demand comes with, where that is refused first.
FOR_IT: Final = {"top_logprobs": ("logprobs", "include"), "audio": ("modalities",)}


def carried(body: bytes, words: tuple[str, ...]) -> bool:
    return any(word.encode() in body for word in words)


@every("to", TARGETS)
@pytest.mark.parametrize(("api", "name", "fields", "words"), HINTS, ids=ids(HINTS))
def test_a_hint_is_carried_or_passed_over_and_said(
    api: str, name: str, fields: Json, words: tuple[str, ...], to: str
) -> None:
    dialect, there = TARGETS[to]
    sent = written(api, fields, there, dialect)
    assert written(api, fields, there, dialect, "drop").body == sent.body
    if not sent.dropped:
        assert carried(sent.body, words), sent.body
        assert written(api, fields, there, dialect, "refuse").body == sent.body
        return
    assert {*map(head, sent.dropped)} <= {head(name), *ALONG_WITH_IT.get(name, ())}, sent.dropped
    with pytest.raises(ApiError) as refused:
        written(api, fields, there, dialect, "refuse")
    assert (refused.value.status, refused.value.detail.param) == (400, sent.dropped[0])


@every("to", TARGETS)
@pytest.mark.parametrize(("api", "name", "fields", "words"), DEMANDS, ids=ids(DEMANDS))
def test_a_demand_is_met_or_refused_by_its_name(
    api: str, name: str, fields: Json, words: tuple[str, ...], to: str
) -> None:
    dialect, there = TARGETS[to]
    refusal, sent = None, None
    try:
        sent = written(api, fields, there, dialect)
    except ApiError as error:
        refusal = error
    if sent is not None:
        # Where the target has no stop sequences, the gateway ends the answer.
        assert carried(sent.body, words) or "MARK" in sent.stops, sent.body
    if refusal is not None:
        param = refusal.detail.param or ""
        assert (refusal.status, head(param) in (head(name), *FOR_IT.get(name, ()))) == (400, True)
        assert param in written(api, fields, there, dialect, "drop").dropped


@every("to", TARGETS)
@pytest.mark.parametrize(("api", "fields"), IDLE, ids=[f"{api}-{json.dumps(fields)[1:-1]}" for api, fields in IDLE])
def test_what_asks_for_nothing_is_no_obstacle(api: str, fields: Json, to: str) -> None:
    """Nor is it said to be passed over, not even where all is to be refused."""
    dialect, there = TARGETS[to]
    if (api, to) != ("completions", "groq"):  # which has no such endpoint
        assert written(api, fields, there, dialect, "refuse").dropped == ()


@every("to", TARGETS)
@pytest.mark.parametrize("api", ["chat", "anthropic", "responses", "gemini"])
def test_all_hints_of_an_api_at_once(api: str, to: str) -> None:
    """Each is said as it is alone, or carried."""
    dialect, there = TARGETS[to]
    rows = [row for row in HINTS if row[0] == api and not {"messages", "tools", "system"} & row[2].keys()]
    for (_, _, first, _), (_, _, second, _) in pairwise(rows):
        if first.keys() & second.keys():
            continue
        alone = {*written(api, first, there, dialect).dropped, *written(api, second, there, dialect).dropped}
        assert set(written(api, {**first, **second}, there, dialect).dropped) >= alone


@every("to", TARGETS)
def test_a_stream_is_asked_for_with_what_a_whole_answer_is(to: str) -> None:
    dialect, there = TARGETS[to]
    for api, _, fields, _ in HINTS:
        bridge = translator(APIS[api], dialect, frozenset())
        whole, streamed = (bridge.encode(asked(api, fields, stream=stream), there) for stream in (False, True))
        assert whole.dropped == streamed.dropped
        assert json.loads(streamed.body).keys() >= json.loads(whole.body).keys() - {"stream", "stream_options"}


@pytest.mark.parametrize("count", [4, 5, 9])
@pytest.mark.parametrize("api", ["anthropic", "chat"])
@pytest.mark.parametrize(
    ("dialect", "provider", "most"),
    [
        ("openai", "openai", 4),
        ("openai", "azure", 4),
        ("openai", "acme", 9),
        ("cohere", "cohere", 5),
        ("gemini", "", 5),
    ],
)
def test_more_stop_sequences_than_a_target_takes_end_the_answer_here(
    dialect: str, provider: str, most: int, api: str, count: int
) -> None:
    stops = [f"MARK{at}" for at in range(count)]
    fields: Json = {"stop_sequences" if api == "anthropic" else "stop": stops}
    sent = written(api, fields, target(dialect, "gpt-4o", provider=provider), dialect)
    assert (list(sent.stops), sent.dropped) == (stops if count > most else [], ())
    assert (b"MARK" in sent.body) == (count <= most)
