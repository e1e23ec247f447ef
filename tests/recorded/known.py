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
SOUND: Final = "a sound has no place in the Responses API, and that is not said"
THOUGHTS: Final = "thoughts and the signature that follows them come back from the SDK as two"
LOCAL: Final = "the local model refuses the older form of calls, and thinking as a part"

# What Weebill does not do yet.
KNOWN: Final[dict[tuple[str, str], str]] = {
    ("gemini/gemini/whole-inlineData", "responses"): SOUND,
    ("gemini/gemini/whole-reasoning-text", "chat"): THOUGHTS,
    ("gemini/gemini/stream-reasoning-text", "chat"): THOUGHTS,
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
    ("vertex/vertex/stream-reasoning-text", "chat"): THOUGHTS,
    ("chat/langchain/tools-2", "llamacpp"): LOCAL,
    ("chat/openai-python/tools-2", "llamacpp"): LOCAL,
    ("chat/openai-python/tools-3", "llamacpp"): LOCAL,
    ("chat/ruby-llm/reasoning-2", "llamacpp"): LOCAL,
}
