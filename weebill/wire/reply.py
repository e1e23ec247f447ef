"""An answer in no API's words, whole or as events: what outbound dialects decode to and inbound APIs render."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Raw, Struct, structs

from weebill.wire.conversation import Citation, Maker, Part
from weebill.wire.failure import UpstreamFailure

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "refusal", "pause"]
"""The reason for an answer's end. "content_filter" is the provider's filter, "refusal" the model's own decision,
"pause" a turn that the provider wants continued."""


ONE_OF_THEM: Final = ""
"""In the place of the stop sequence that ended an answer, where the upstream does not say which of those asked for."""
MOST: Final = 2**53 - 1
"""The largest number of anything that is kept: what every reader of JSON has exactly."""


class Usage(Struct, frozen=True, gc=False):
    """Tokens that a call used.

    Invariant, for every dialect: `cached_tokens` and `cache_write_tokens` are disjoint subsets of `prompt_tokens`;
    `reasoning_tokens` is a subset of `completion_tokens`, `long_write_tokens` one of `cache_write_tokens`: those that
    the cache keeps for an hour rather than some minutes. `measured` is False where the upstream did not say and the
    counts are estimates. `cost_nano` is what the upstream says that it charges, in billionths of its unit.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    measured: bool = False
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    long_write_tokens: int = 0
    cost_nano: int | None = None

    @classmethod
    def reported(
        cls,
        prompt: int,
        completion: int,
        *,
        cached: int = 0,
        cache_write: int = 0,
        reasoning: int = 0,
        long_write: int = 0,
        cost_nano: int | None = None,
    ) -> Usage:
        """The usage that an upstream reported, held to the invariant."""
        if not cached and not cache_write and prompt >= 0 and 0 <= reasoning <= completion:
            return cls(prompt, 0, completion, True, 0, reasoning, 0, cost_nano)
        prompt, completion = max(0, prompt), max(0, completion)
        cached = min(max(0, cached), prompt)
        written = min(max(0, cache_write), prompt - cached)
        return cls(
            prompt, cached, completion, True, written, min(max(0, reasoning), completion),
            min(max(0, long_write), written), cost_nano,
        )  # fmt: skip

    def bounded(self) -> Usage:
        """The same, in counts that can be kept."""
        bounded = Usage.reported(
            min(self.prompt_tokens, MOST),
            min(self.completion_tokens, MOST),
            cached=self.cached_tokens,
            cache_write=self.cache_write_tokens,
            reasoning=self.reasoning_tokens,
            long_write=self.long_write_tokens,
            cost_nano=self.cost_nano,
        )
        return bounded if self.measured else structs.replace(bounded, measured=False)


class Choice(Struct, frozen=True):
    """One answer. Parts are Text, Reasoning, ToolUse, Refusal, Image and Audio, in the order they were said.

    `logprobs` are OpenAI's `logprobs.content` entries. `stop_sequence` is the one that ended it, where known, or
    `ONE_OF_THEM`.
    """

    parts: tuple[Part, ...]
    finish: FinishReason
    stop_sequence: str | None = None
    logprobs: tuple[Raw, ...] | None = None


class Reply(Struct, frozen=True):
    """A complete answer; `choices` are in order of index, `created` is Unix time, 0 if the upstream did not say.

    `dropped` names what the upstream said besides that has no place here, such as the blocks of tools that it runs.
    """

    id: str
    model: str
    choices: tuple[Choice, ...]
    usage: Usage
    created: int = 0
    dropped: tuple[str, ...] = ()


# Events of a stream. `choice` is its index; `block` numbers a choice's parts in the order they begin, from 0, and never
# goes back: what belongs to a part comes before the next part begins.


class Started(Struct, frozen=True):
    """The first event of every stream."""

    id: str
    model: str
    created: int = 0


class TextDelta(Struct, frozen=True):
    """More of a text part."""

    text: str
    block: int = 0
    choice: int = 0


class CitationAdded(Struct, frozen=True):
    """A citation for the text part under way."""

    citation: Citation
    block: int = 0
    choice: int = 0


class ReasoningDelta(Struct, frozen=True):
    """More of a reasoning part; what is opaque comes once, at any time until the part ends."""

    text: str = ""
    signature: str | None = None
    encrypted: str | None = None
    id: str | None = None
    origin: Maker = ""
    block: int = 0
    choice: int = 0


class ToolStarted(Struct, frozen=True):
    """A tool call begins. `signature` and `origin` as in ToolUse."""

    id: str
    name: str
    block: int = 0
    choice: int = 0
    signature: str | None = None
    origin: Maker = ""


class ToolArguments(Struct, frozen=True):
    """More of the arguments' JSON text of the call in that block."""

    json: str
    block: int = 0
    choice: int = 0


class RefusalDelta(Struct, frozen=True):
    """More of a refusal."""

    text: str
    block: int = 0
    choice: int = 0


class WholePart(Struct, frozen=True):
    """A part that came in one piece: Image or Audio."""

    part: Part
    block: int = 0
    choice: int = 0


class Logprobs(Struct, frozen=True):
    """OpenAI's `logprobs.content` entries of the text just before."""

    entries: tuple[Raw, ...]
    choice: int = 0


class Finished(Struct, frozen=True):
    """A choice is complete."""

    reason: FinishReason
    stop_sequence: str | None = None
    choice: int = 0


class UsageReported(Struct, frozen=True):
    """The usage of all of the stream so far; a later one replaces it."""

    usage: Usage


class PassedOver(Struct, frozen=True):
    """The upstream said something that has no place here; `what` names it, such as "web_search_tool_result"."""

    what: str


class Failed(Struct, frozen=True):
    """The upstream reported an error inside its stream; nothing follows."""

    error: UpstreamFailure


Event = (
    Started | TextDelta | CitationAdded | ReasoningDelta | ToolStarted | ToolArguments | RefusalDelta | WholePart
    | Logprobs | Finished | UsageReported | PassedOver | Failed
)  # fmt: skip
