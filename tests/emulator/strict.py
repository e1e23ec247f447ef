"""What a provider refuses in a request before it reads it: members that it does not know, names, ids and shapes.

Tables of the members, by the object that has them; after the providers' public references and the types of their SDKs.
An object that no table names may have any. Providers that pass over what they do not know have no table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

Body = dict[str, Any]
Members = Mapping[str, frozenset[str]]


def problem(dialect: str, body: Body, headers: Mapping[str, str]) -> str | None:
    """What the provider would say against a request; None if nothing."""
    unknown = next(_unknown(body, _MEMBERS.get(dialect, {})), None)
    return unknown or next(_CHECKS.get(dialect, _nothing)(body, headers), None)


def _unknown(body: Body, members: Members) -> Iterator[str]:
    for path, known in members.items():
        for where, found in _at(body, path.split(".") if path else []):
            extra = [name for name in found if name not in known and _camel(name) not in known]
            if extra:
                yield f"{where}{extra[0]}: unknown field"


def _camel(name: str) -> str:
    """Google takes its fields' names in either form."""
    first, *more = name.split("_")
    return first + "".join(map(str.capitalize, more))


def _at(value: object, path: list[str], where: str = "") -> Iterator[tuple[str, Body]]:
    """The objects at a path, whose steps end in `[]` where each of a list is meant."""
    if not path:
        if isinstance(value, dict):
            yield where, value
        return
    step, *rest = path
    name = step.removesuffix("[]")
    inner = value.get(name) if isinstance(value, dict) else None
    if step.endswith("[]"):
        for index, each in enumerate(inner if isinstance(inner, list) else ()):
            yield from _at(each, rest, f"{where}{name}[{index}].")
    else:
        yield from _at(inner, rest, f"{where}{name}.")


def _members(table: dict[str, str]) -> Members:
    return {path: frozenset(names.split()) for path, names in table.items()}


_CHAT_BODY: Final = (
    "model messages audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens "
    "max_tokens metadata modalities moderation n parallel_tool_calls prediction presence_penalty prompt_cache_key "
    "prompt_cache_options prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier "
    "stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity "
    "web_search_options"
)
# Older models of OpenAI refuse `parsed`, which its SDKs put into what they echo, and newer ones pass over what they do
# not know in a message: https://github.com/openai/openai-node/issues/1161
_CHAT_MEMBERS: Final = {
    "messages[]": "role content name tool_calls tool_call_id refusal audio function_call "
    "annotations reasoning reasoning_content reasoning_details",
    "messages[].content[]": "type text image_url input_audio file refusal prompt_cache_breakpoint",
    "messages[].tool_calls[]": "id type function custom index",
    "messages[].tool_calls[].function": "name arguments parsed_arguments",
    "tools[]": "type function custom",
    "tools[].function": "name description parameters strict",
}
# OpenAI's, with OpenRouter's reasoning and sampling.
_GENERIC: Final = _members({"": f"{_CHAT_BODY} reasoning top_k min_p repetition_penalty", **_CHAT_MEMBERS})
_GEMINI_PART: Final = (
    "text thought thoughtSignature inlineData fileData functionCall functionResponse executableCode "
    "codeExecutionResult videoMetadata mediaResolution partMetadata toolCall toolResponse"
)
_GEMINI_MEMBERS: Final = {
    "": "model contents systemInstruction tools toolConfig safetySettings generationConfig cachedContent labels "
    "serviceTier store",
    "generationConfig": "stopSequences responseMimeType responseSchema responseJsonSchema responseModalities "
    "candidateCount maxOutputTokens temperature topP topK seed presencePenalty frequencyPenalty responseLogprobs "
    "logprobs enableEnhancedCivicAnswers speechConfig thinkingConfig mediaResolution imageConfig",
    "generationConfig.thinkingConfig": "includeThoughts thinkingBudget thinkingLevel",
    "contents[]": "role parts",
    "contents[].parts[]": _GEMINI_PART,
    "contents[].parts[].functionCall": "id name args",
    "contents[].parts[].functionResponse": "id name response parts willContinue scheduling",
    "systemInstruction": "role parts",
    "systemInstruction.parts[]": _GEMINI_PART,
    "tools[]": "functionDeclarations googleSearch googleSearchRetrieval codeExecution urlContext computerUse "
    "fileSearch googleMaps retrieval enterpriseWebSearch",
    "tools[].functionDeclarations[]": "name description parameters parametersJsonSchema response responseJsonSchema "
    "behavior",
    "toolConfig": "functionCallingConfig retrievalConfig includeServerSideToolInvocations",
    "toolConfig.functionCallingConfig": "mode allowedFunctionNames streamFunctionCallArguments",
}
_MEMBERS: Final[dict[str, Members]] = {
    # These have no quirks of the catalogue's here.
    "openai": _GENERIC,
    "azure": _GENERIC,
    "openai-responses": _members(
        {
            "": "background background_options context_management conversation include input instructions "
            "max_output_tokens max_tool_calls metadata model moderation parallel_tool_calls previous_response_id "
            "prompt prompt_cache_key prompt_cache_options prompt_cache_retention reasoning safety_identifier "
            "service_tier store stream stream_options temperature text tool_choice tools top_logprobs top_p "
            "truncation user client_metadata",
            "reasoning": "effort summary generate_summary context",
            "text": "format verbosity",
        }
    ),
    "anthropic": _members(
        {
            "": "model messages max_tokens system tools tool_choice metadata stop_sequences stream temperature top_p "
            "top_k thinking service_tier container output_config inference_geo speed cache_control diagnostics "
            "context_management mcp_servers compaction fallbacks user_profile_id workspace_id",
            "metadata": "user_id",
            "thinking": "type budget_tokens display",
            "output_config": "effort format task_budget",
            "output_config.format": "type schema",
            "tool_choice": "type name disable_parallel_tool_use",
            "system[]": "type text cache_control citations",
            "messages[]": "role content",
            "messages[].content[]": "type text cache_control citations id input name caller tool_use_id content "
            "is_error thinking signature data source title context transformations toolset_name",
        }
    ),
    "gemini": _members(_GEMINI_MEMBERS),
    "vertex": _members(_GEMINI_MEMBERS),
    "bedrock": _members(
        {
            "": "messages system inferenceConfig toolConfig guardrailConfig additionalModelRequestFields "
            "promptVariables additionalModelResponseFieldPaths requestMetadata performanceConfig serviceTier "
            "outputConfig",
            "inferenceConfig": "maxTokens temperature topP stopSequences",
            "messages[]": "role content",
            "messages[].content[].toolUse": "toolUseId name input type",
            "messages[].content[].toolResult": "toolUseId content status type",
            "toolConfig": "tools toolChoice",
            "toolConfig.tools[].toolSpec": "name description inputSchema strict",
        }
    ),
    "cohere": _members(
        {
            "": "model messages tools documents citation_options response_format safety_mode max_tokens "
            "stop_sequences temperature seed frequency_penalty presence_penalty k p logprobs tool_choice strict_tools "
            "thinking stream priority raw_prompting",
            "messages[]": "role content tool_calls tool_call_id tool_plan citations",
            "messages[].tool_calls[]": "id type function",
            "tools[]": "type function",
            "tools[].function": "name description parameters",
        }
    ),
}


def _nothing(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    yield from ()


def _chat(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    tools = body.get("tools")
    if tools == []:
        yield "[] is too short - 'tools'"
    if not tools:
        yield from (f"'{name}' is only allowed when 'tools' are specified" for name in _NEED_TOOLS if name in body)
    yield from _tools([tool.get("function", {}) for tool in tools or ()], "[a-zA-Z0-9_-]{1,64}", "parameters")
    for index, message in enumerate(body["messages"]):
        if message["role"] == "tool" and message.get("content") is None:
            yield f"messages[{index}].content: expected a string, got null"
        for call in message.get("tool_calls") or ():
            name = call.get("function", {}).get("name", "")
            if not re.fullmatch("[a-zA-Z0-9_-]{1,64}", name):
                yield f"messages[{index}].tool_calls: the name {name!r}"
            if len(call["id"]) > 64 and call["type"] == "function":
                yield f"messages[{index}].tool_calls: an id of {len(call['id'])} characters"


_NEED_TOOLS: Final = ("tool_choice", "parallel_tool_calls")


def _responses(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    functions = [tool for tool in body.get("tools") or () if tool.get("type") in ("function", "custom")]
    yield from _tools(functions, "[a-zA-Z0-9_-]{1,128}", "parameters")
    for index, item in enumerate(body["input"] if isinstance(body["input"], list) else ()):
        if item.get("type") == "reasoning" and body.get("store") is False and not item.get("encrypted_content"):
            yield f"input[{index}]: items are not persisted when `store` is set to false"


def _anthropic(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    betas = headers.get("anthropic-beta", "")
    for name, beta in _BETAS.items():
        if name in body and beta not in betas:
            yield f"{name}: Extra inputs are not permitted"
    thinking = body.get("thinking", {})
    if thinking.get("type") == "enabled":
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int) or budget < 1024:
            yield "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
        elif body["max_tokens"] <= budget:
            yield "`max_tokens` must be greater than `thinking.budget_tokens`"
    if thinking.get("type") in ("enabled", "adaptive"):
        if body.get("temperature", 1) != 1:
            yield "`temperature` may only be set to 1 when thinking is enabled"
        if body.get("tool_choice", {}).get("type") in ("any", "tool"):
            yield "Thinking may not be enabled when tool_choice forces tool use"
    if not 0 <= (body.get("temperature") or 0) <= 1:
        yield "temperature: range: 0..1"
    tools = [tool for tool in body.get("tools", ()) if tool.get("type", "custom") == "custom"]
    yield from _tools(tools, "[a-zA-Z0-9_-]{1,128}", "input_schema")
    for tool in tools:
        schema = tool["input_schema"]
        if {"anyOf", "oneOf", "allOf"} & set(schema):
            yield "input_schema does not support oneOf, allOf, or anyOf at the top level"
    if sum(_marks(body)) > 4:
        yield "A maximum of 4 blocks with cache_control may be provided"
    yield from _anthropic_messages(body["messages"], headers)


# Fields that take a beta's name in a header.
_BETAS: Final = {"context_management": "context-management-", "mcp_servers": "mcp-client-", "compaction": "compact-"}


def _marks(value: object) -> Iterator[int]:
    if isinstance(value, dict):
        yield int(value.get("cache_control") is not None)
        for each in value.values():
            yield from _marks(each)
    elif isinstance(value, list):
        for each in value:
            yield from _marks(each)


def _anthropic_messages(messages: list[Body], headers: Mapping[str, str]) -> Iterator[str]:
    for index, message in enumerate(messages):
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if message["role"] == "system" and "mid-conversation-" not in headers.get("anthropic-beta", ""):
            yield f"messages.{index}.role: Input should be 'user' or 'assistant'"
        for block in blocks:
            if block["type"] == "text" and not block["text"].strip():
                yield f"messages.{index}: text content blocks must contain non-whitespace text"
            if block["type"] == "tool_use":
                if not re.fullmatch("[a-zA-Z0-9_-]+", block["id"]):
                    yield f"messages.{index}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
                if not isinstance(block["input"], dict):
                    yield f"messages.{index}.tool_use.input: Input should be a valid dictionary"
            if block["type"] == "thinking" and not block.get("signature"):
                yield f"messages.{index}: Invalid `signature` in `thinking` block"
        if message["role"] == "assistant" and index == len(messages) - 1 and blocks:
            text = blocks[-1].get("text", "")
            if text != text.rstrip():
                yield "messages: final assistant content cannot end with trailing whitespace"


def _gemini(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    for tool in body.get("tools", ()):
        for declared in tool.get("functionDeclarations", ()):
            if not re.fullmatch("[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}", declared["name"]):
                yield f"function_declarations: Invalid function name {declared['name']!r}"
            if "parameters" in declared and "parametersJsonSchema" in declared:
                yield "only one of parameters and parametersJsonSchema may be set"
            yield from _gemini_schema(declared.get("parameters"), f"function_declarations.{declared['name']}")
    yield from _gemini_schema(body.get("generationConfig", {}).get("responseSchema"), "response_schema")
    for index, content in enumerate(body["contents"]):
        if not content.get("parts"):
            yield f"contents[{index}].parts must not be empty"
        for part in content.get("parts", ()):
            response = part.get("functionResponse", {}).get("response", {})
            if not isinstance(response, dict):
                yield f"contents[{index}]: function_response.response: expected an object"
            if not isinstance(part.get("functionCall", {}).get("args", {}), dict):
                yield f"contents[{index}]: function_call.args: expected an object"
            if not {name for name in part if name not in ("thought", "thoughtSignature", "partMetadata")}:
                yield f"contents[{index}].parts: required oneof field 'data' must have one initialized field"


_SCHEMA: Final = frozenset(
    ("type", "format", "title", "description", "nullable", "enum", "maxItems", "minItems", "properties", "required",
     "minProperties", "maxProperties", "minLength", "maxLength", "pattern", "example", "anyOf", "propertyOrdering",
     "default", "items", "minimum", "maximum", "additionalProperties", "defs", "ref")
)  # fmt: skip


def _gemini_schema(schema: object, where: str) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    for name in schema:
        if _camel(name) not in _SCHEMA:
            yield f'Unknown name "{name}" at {where}'
    if not isinstance(schema.get("type", ""), str):
        yield f"{where}.type: expected one string"
    for name, inner in (schema.get("properties") or {}).items():
        yield from _gemini_schema(inner, f"{where}.{name}")
    yield from _gemini_schema(schema.get("items"), f"{where}.items")
    for inner in schema.get("anyOf") or ():
        yield from _gemini_schema(inner, f"{where}.anyOf")


def _bedrock(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    tools = [tool["toolSpec"] for tool in body.get("toolConfig", {}).get("tools", ()) if "toolSpec" in tool]
    if "toolConfig" in body and not tools:
        yield "toolConfig.tools: at least one member"
    yield from _tools([{**tool, "schema": tool["inputSchema"]["json"]} for tool in tools], _TOOL_NAME, "schema")
    if any(tool.get("description") == "" for tool in tools):
        yield "toolSpec.description: at least one character"
    if not body["messages"] or body["messages"][0]["role"] != "user":
        yield "A conversation must start with a user message"
    for index, message in enumerate(body["messages"]):
        if not message["content"]:
            yield f"messages.{index}.content is empty"
        for block in message["content"]:
            for given in (block.get("toolUse"), block.get("toolResult")):
                if given and not re.fullmatch(_TOOL_NAME, given["toolUseId"]):
                    yield f"messages.{index}.toolUseId: pattern {_TOOL_NAME}"
            if not isinstance(block.get("toolUse", {}).get("input", {}), dict):
                yield f"messages.{index}.toolUse.input: an object"


_TOOL_NAME: Final = "[a-zA-Z0-9_-]{1,64}"


def _cohere(body: Body, headers: Mapping[str, str]) -> Iterator[str]:
    yield from _tools([tool["function"] for tool in body.get("tools", ())], "[a-zA-Z0-9_-]{1,128}", "parameters")
    if "tool_choice" in body and not body.get("tools"):
        yield "tool_choice requires tools"
    for index, message in enumerate(body["messages"]):
        if message["role"] not in ("system", "user", "assistant", "tool"):
            yield f"messages[{index}].role: {message['role']}"


def _tools(tools: list[Body], pattern: str, schema: str) -> Iterator[str]:
    """Names that the provider takes, each once; a schema, where there is one, of an object."""
    names = [tool["name"] for tool in tools]
    for name in names:
        if not re.fullmatch(pattern, name):
            yield f"tools: the name {name!r} does not match '^{pattern}$'"
        if names.count(name) > 1:
            yield f"tools: the name {name!r} is there more than once"
    for tool in tools:
        if isinstance(tool.get(schema), dict) and tool[schema] and tool[schema].get("type") != "object":
            yield f"tools: schema must be a JSON Schema of 'type: \"object\"', got {tool[schema].get('type')!r}"


_CHECKS: Final[dict[str, Callable[[Body, Mapping[str, str]], Iterator[str]]]] = {
    "openai": _chat,
    "azure": _chat,
    "mistral": _chat,
    "cloudflare": _chat,
    "huggingface": _chat,
    "openai-responses": _responses,
    "anthropic": _anthropic,
    "gemini": _gemini,
    "vertex": _gemini,
    "bedrock": _bedrock,
    "cohere": _cohere,
}
