"""What is known not to come through, and why: (an answer's id, an API) or (a request's id, a dialect)."""

from typing import Final

# Relays pass on what the provider sent, and that is nothing that the SDK of its API could use, Weebill or not.
AS_SENT: Final[dict[tuple[str, str], str]] = {
    ("gemini/gemini/stream-2-calls", "gemini"): "the SDK does not put together calls that come in pieces",
    ("reports/gemini/stream-call-in-pieces", "gemini"): "the SDK does not put together calls that come in pieces",
    ("reports/gemini/stream-text-last-without-content", "gemini"): "the SDK forgets a turn with an empty chunk",
    ("vertex/vertex/whole-length", "gemini"): "the SDK cannot read a finish reason that is a number",
    ("vertex/vertex/whole-2-calls", "gemini"): "the SDK cannot read a finish reason that is a number",
    ("vertex/vertex/whole-text", "gemini"): "the SDK cannot read a finish reason that is a number",
    ("vertex/vertex/whole-text-2", "gemini"): "the SDK cannot read a finish reason that is a number",
    ("bedrock/openai-responses/stream-reasoning-text", "responses"): "the content of an item begins at index 1",
}

SERVER_RUN: Final = "a call that the provider has run is shown as the client's"
EMPTY_CUSTOM: Final = "an empty `custom` beside a call's `function` is taken for the call"
ROLE: Final = "the relay passes on a role in every delta or in none, which the SDK makes one name of"
CHUNKS: Final = "the relay passes on chunks without `object`, with another or without `delta`, which the SDK cannot use"
LOCAL: Final = "the local model refuses the older form of calls, and thinking as a part"

# What Weebill does not do yet.
KNOWN: Final[dict[tuple[str, str], str]] = {
    ("azure/azure/stream-text", "chat"): CHUNKS,
    ("groq/openai/stream-reasoning-text", "chat"): ROLE,
    ("moonshot/openai/stream-reasoning-text", "chat"): CHUNKS,
    ("ollama/openai/stream-text", "chat"): ROLE,
    ("openai/openai-responses/whole-text-shell-call-shell-call-output", "chat"): SERVER_RUN,
    ("openai/openai-responses/whole-text-shell-call-shell-call-output", "responses"): SERVER_RUN,
    ("openai/openai-responses/whole-text-shell-call-shell-call-output", "anthropic"): SERVER_RUN,
    ("openai/openai-responses/whole-text-shell-call-shell-call-output", "gemini"): SERVER_RUN,
    ("openai/openai-responses/whole-call-tool-search-call-tool-search-output", "chat"): SERVER_RUN,
    ("openai/openai-responses/whole-call-tool-search-call-tool-search-output", "responses"): SERVER_RUN,
    ("openai/openai-responses/whole-call-tool-search-call-tool-search-output", "anthropic"): SERVER_RUN,
    ("openai/openai-responses/whole-call-tool-search-call-tool-search-output", "gemini"): SERVER_RUN,
    ("openai/openai-responses/stream-call-tool-search-call-tool-search-output", "chat"): SERVER_RUN,
    ("openai/openai-responses/stream-call-tool-search-call-tool-search-output", "responses"): SERVER_RUN,
    ("openai/openai-responses/stream-call-tool-search-call-tool-search-output", "anthropic"): SERVER_RUN,
    ("openai/openai-responses/stream-call-tool-search-call-tool-search-output", "gemini"): SERVER_RUN,
    ("openrouter/openai/stream-text", "chat"): ROLE,
    ("openrouter/openai/stream-call", "chat"): ROLE,
    ("perplexity/openai/stream-text", "chat"): CHUNKS,
    ("perplexity/openai/stream-text-2", "chat"): CHUNKS,
    ("reports/openai/whole-call-empty-objects", "chat"): EMPTY_CUSTOM,
    ("reports/openai/whole-call-empty-objects", "responses"): EMPTY_CUSTOM,
    ("reports/openai/whole-call-empty-objects", "anthropic"): EMPTY_CUSTOM,
    ("reports/openai/whole-call-empty-objects", "gemini"): EMPTY_CUSTOM,
    ("snowflake/openai/whole-reasoning-text-call", "chat"): EMPTY_CUSTOM,
    ("snowflake/openai/whole-reasoning-text-call", "responses"): EMPTY_CUSTOM,
    ("snowflake/openai/whole-reasoning-text-call", "anthropic"): EMPTY_CUSTOM,
    ("snowflake/openai/whole-reasoning-text-call", "gemini"): EMPTY_CUSTOM,
    ("snowflake/openai/stream-text", "chat"): ROLE,
    ("together/openai/stream-text", "chat"): ROLE,
    ("zai/openai/stream-reasoning-call", "chat"): ROLE,
    ("zai/openai/stream-reasoning-text", "chat"): ROLE,
    ("chat/langchain/tools-2", "llamacpp"): LOCAL,
    ("chat/openai-python/tools-2", "llamacpp"): LOCAL,
    ("chat/openai-python/tools-3", "llamacpp"): LOCAL,
    ("chat/ruby-llm/reasoning-2", "llamacpp"): LOCAL,
}
