"""Google's generateContent format: what both its clients and its upstreams write.

One set of types serves both directions. Unknown fields are passed over; whoever must not lose them reads the raw JSON.

Source: https://ai.google.dev/api/generate-content and https://ai.google.dev/api/caching#Content
"""

from __future__ import annotations

from typing import Final, cast

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.wire.reply import FinishReason, Usage

ORIGIN: Final = "gemini"
"""The `Origin` of what Google's models make that is opaque."""


AnyJson = Raw | UnsetType
"""A field that is kept as it came. msgspec has no union of Raw and None: null is kept as well, see `given`."""


class Wire(Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """Base of the format's messages: camelCase, what is absent is left out."""


class Blob(Wire, frozen=True):
    """Media in the message itself; `data` is base64, of either alphabet."""

    mime_type: str = ""
    data: str = ""
    display_name: str | None = None


class FileData(Wire, frozen=True):
    """Media by address: of the Files API, of Cloud Storage, or public."""

    file_uri: str = ""
    mime_type: str | None = None
    display_name: str | None = None


class PartialArg(Wire, frozen=True):
    """A piece of a call's arguments: what stands at a path, or more of the text there."""

    json_path: str = ""
    string_value: str | None = None
    number_value: AnyJson = UNSET
    bool_value: bool | None = None
    null_value: AnyJson = UNSET


class FunctionCall(Wire, frozen=True):
    """A call that the model made; `args` is a JSON object. Older models give no `id`.

    Where arguments are streamed, the first piece has the name, `partial_args` are in those that follow, and the last
    is the one that will not continue.
    """

    name: str = ""
    id: str | None = None
    args: AnyJson = UNSET
    partial_args: list[PartialArg] | None = None
    will_continue: bool | None = None


class FunctionResponsePart(Wire, frozen=True):
    """Media that a call gave."""

    inline_data: Blob | None = None
    file_data: FileData | None = None


class FunctionResponse(Wire, frozen=True):
    """The result of a call; `response` is a JSON object, by custom `{"output": ...}` or `{"error": ...}`."""

    name: str = ""
    id: str | None = None
    response: AnyJson = UNSET
    parts: list[FunctionResponsePart] | None = None


class ExecutableCode(Wire, frozen=True):
    """Code that the model had run."""

    code: str = ""
    language: str = ""


class CodeExecutionResult(Wire, frozen=True):
    """The output of that code."""

    output: str = ""
    outcome: str = ""


class MediaResolution(Wire, frozen=True):
    """The closeness with which a part's media is looked at."""

    level: str | None = None


class Transcription(Wire, frozen=True):
    """The words of an audio part."""

    text: str | None = None


class Part(Wire, frozen=True):
    """One part: exactly one of its data fields, and what is said about it.

    `thought` marks the text as thinking. `thought_signature` (base64) may be on any part of a model's.
    """

    text: str | None = None
    thought: bool | None = None
    thought_signature: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    executable_code: ExecutableCode | None = None
    code_execution_result: CodeExecutionResult | None = None
    tool_call: AnyJson = UNSET
    tool_response: AnyJson = UNSET
    video_metadata: AnyJson = UNSET
    media_processing: AnyJson = UNSET
    media_resolution: MediaResolution | None = None
    audio_transcription: Transcription | None = None


class Content(Wire, frozen=True):
    """One message. Google's parser takes a single part for a list of one; its SDKs, a text for a part."""

    parts: list[Part | str] | Part | str | None = None
    role: str | None = None


class Segment(Wire, frozen=True):
    """A piece of a part; the indices count bytes of UTF-8."""

    start_index: int | None = None
    end_index: int | None = None
    part_index: int | None = None
    text: str | None = None


class Source(Wire, frozen=True):
    """A page, a document or a place."""

    uri: str | None = None
    title: str | None = None
    text: str | None = None


class GroundingChunk(Wire, frozen=True):
    """The place where something was found."""

    web: Source | None = None
    retrieved_context: Source | None = None
    maps: Source | None = None


class GroundingSupport(Wire, frozen=True):
    """The chunks that back a piece of text."""

    segment: Segment | None = None
    grounding_chunk_indices: list[int] | None = None


class GroundingMetadata(Wire, frozen=True):
    """The sources of an answer."""

    grounding_chunks: list[GroundingChunk] | None = None
    grounding_supports: list[GroundingSupport] | None = None
    search_entry_point: AnyJson = UNSET


class CitationSource(Wire, frozen=True):
    """A text that the answer repeats at length; the indices count bytes of UTF-8."""

    start_index: int | None = None
    end_index: int | None = None
    uri: str | None = None
    title: str | None = None


class CitationMetadata(Wire, frozen=True):
    """Called `citations` by Vertex AI."""

    citation_sources: list[CitationSource] | None = None
    citations: list[CitationSource] | None = None


class TokenLogprob(Wire, frozen=True):
    """A token and the natural logarithm of its probability."""

    token: str = ""
    log_probability: float = 0.0


class TopCandidates(Wire, frozen=True):
    """The likeliest tokens of one step."""

    candidates: list[TokenLogprob] | None = None


class LogprobsResult(Wire, frozen=True):
    """Step by step: the token chosen, and the likeliest."""

    chosen_candidates: list[TokenLogprob] | None = None
    top_candidates: list[TopCandidates] | None = None


class Candidate(Wire, frozen=True):
    """One answer, or a piece of it in a stream."""

    content: Content | None = None
    finish_reason: str | int | None = None
    finish_message: str | None = None
    index: int | None = None
    logprobs_result: LogprobsResult | None = None
    grounding_metadata: GroundingMetadata | None = None
    citation_metadata: CitationMetadata | None = None


class PromptFeedback(Wire, frozen=True):
    """Set where the prompt was blocked."""

    block_reason: str | int | None = None
    block_reason_message: str | None = None


Count = int | float | None
"""A count; some who speak this format count in floats."""


_MOST_TOKENS: Final = 2**48


class UsageMetadata(Wire, frozen=True):
    """Tokens. What the model thought is not among the candidates' tokens, nor tools' results among the prompt's."""

    prompt_token_count: Count = None
    candidates_token_count: Count = None
    total_token_count: Count = None
    cached_content_token_count: Count = None
    thoughts_token_count: Count = None
    tool_use_prompt_token_count: Count = None

    def usage(self) -> Usage:
        """As usage, whose counts include each other."""
        thoughts = int(self.thoughts_token_count or 0)
        prompt = int(self.prompt_token_count or 0) + int(self.tool_use_prompt_token_count or 0)
        completion = int(self.candidates_token_count or 0) + thoughts
        return Usage.reported(
            prompt if prompt < _MOST_TOKENS else _MOST_TOKENS,
            completion if completion < _MOST_TOKENS else _MOST_TOKENS,
            cached=int(self.cached_content_token_count or 0),
            reasoning=thoughts,
        )


class ErrorDetail(Wire, frozen=True):
    """One entry of an error's `details`, of whatever type: Google's RetryInfo, ErrorInfo, BadRequest or
    QuotaFailure."""

    type: str | None = msgspec.field(default=None, name="@type")
    retry_delay: str | None = None
    reason: str | None = None
    domain: str | None = None
    metadata: dict[str, str] | None = None
    field_violations: list[FieldViolation] | None = None
    violations: list[QuotaViolation] | None = None


class FieldViolation(Wire, frozen=True):
    """A field that was wrong."""

    field: str | None = None
    description: str | None = None


class QuotaViolation(Wire, frozen=True):
    """A quota that is used up, one of a QuotaFailure's."""

    quota_id: str | None = None


class Status(Wire, frozen=True):
    """An error; `status` is a gRPC status, by name. Source: https://cloud.google.com/apis/design/errors"""

    code: int | None = None
    message: str | None = None
    status: str | None = None
    details: list[ErrorDetail] | None = None


class ErrorResponse(Wire, frozen=True):
    """The body of an error."""

    error: Status


class GenerateContentResponse(Wire, frozen=True):
    """An answer, or a piece of one; `error` is in place of it all."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageMetadata | None = None
    model_version: str | None = None
    response_id: str | None = None
    error: Status | None = None


FINISH_REASONS: Final[dict[str, FinishReason]] = {
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    "NO_IMAGE": "stop",
    "SAFETY": "content_filter",
    "RECITATION": "content_filter",
    "LANGUAGE": "content_filter",
    "BLOCKLIST": "content_filter",
    "PROHIBITED_CONTENT": "content_filter",
    "SPII": "content_filter",
    "IMAGE_SAFETY": "content_filter",
    "IMAGE_PROHIBITED_CONTENT": "content_filter",
    "IMAGE_RECITATION": "content_filter",
    "IMAGE_OTHER": "content_filter",
    "MODEL_ARMOR": "content_filter",
    "ESCALATION": "content_filter",
    "PUP_LIMITED_DISABLED": "content_filter",
    "OTHER": "content_filter",
    "FINISH_REASON_UNSPECIFIED": "content_filter",
}
"""The reasons for an answer's end. OTHER gives no reason; it comes where an answer was withheld."""

NUMBERED_REASONS: Final = ("FINISH_REASON_UNSPECIFIED", "STOP", "MAX_TOKENS", "SAFETY", "RECITATION", "OTHER")
"""The reasons whose numbers all of Google's APIs agree on, by number; some proxies write the number."""

FAILED_REASONS: Final = frozenset({
    "MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "MALFORMED_RESPONSE",
    "MISSING_THOUGHT_SIGNATURE",
})  # fmt: skip
"""Ends that leave no answer: to call them a stop would hide that the model failed."""


def given(value: AnyJson) -> Raw | None:
    """The value of a field; None if it is absent or null."""
    return None if isinstance(value, UnsetType) or bytes(value) == b"null" else value


def unset(value: Raw | None) -> AnyJson:
    """A field with what it shall hold; absent for None."""
    return UNSET if value is None else value


def parts_of(content: Content | str | None) -> list[Part]:
    """A message's parts, as a list."""
    parts = content.parts if isinstance(content, Content) else content
    if parts is None:
        return []
    if not isinstance(parts, list):
        return [_part(parts)]
    for part in parts:
        if type(part) is str:
            return [_part(each) for each in parts]
    return cast("list[Part]", parts)


def _part(part: Part | str) -> Part:
    return Part(text=part) if isinstance(part, str) else part
