"""Passes over what a target cannot do, and says so, or refuses it.

Most of what clients send besides the prompt steers cost, caching, telemetry or effort: a hint, which a target may go
without. Some of it changes what is asked for: a demand, which is not quietly left out.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Final

from weebill.catalog.traits import OnUnsupported
from weebill.wire.idle import asks_nothing
from weebill.wire.inbound import Json

DEMANDS: Final = frozenset(
    {
        "turns",
        "tools",
        "tool_choice",
        "output",
        "response_format",
        "n",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "stop",
    }
    # The kind of answer, and what it begins or ends with.
    | {"modalities", "audio", "best_of", "echo", "suffix", "background"}
    # What holds an answer to a form, as vLLM, SGLang and llama.cpp name it.
    | {"guided_json", "guided_regex", "guided_choice", "guided_grammar", "structured_outputs", "regex", "ebnf"}
    | {"grammar", "json_schema"}
    # What vectors are made of, and documents ranked by.
    | {"output_dtype", "output_dimension", "rank_fields"}
    # What Gemini's clients want an answer to be, where it is no JSON and no kind that others have.
    | {"generationConfig.responseSchema", "generationConfig.responseModalities"}
    # What Ollama's clients want a prompt to be: not formatted, formatted otherwise, or after a history in tokens.
    | {"raw", "template", "context"}
    # Parts of the prompt that are kept elsewhere.
    | {"previous_response_id", "conversation", "prompt", "cachedContent"}
)
"""Fields of Conversation and entries of its `extra` that change what is asked for; all others are hints."""


ASKED: Final = object()
"""Stands for a value that asks for something, whatever it is."""
MAX_NAMED: Final = 64
"""The most fields passed over that are named; a client may send any number."""


class Unsupported(Exception):  # noqa: N818 - not an error of ours
    """A target cannot do what the request asks.

    `field` is a field of Conversation, or the name of an entry of `extra`; `what` completes "does not support".
    """

    def __init__(self, field: str, what: str) -> None:
        super().__init__(f"{field}: {what}")
        self.field = field
        self.what = what


class Fit:
    """Fits one request to one target: told of all that the target cannot do, it decides by `policy` and keeps count."""

    __slots__ = ("dropped", "policy")

    def __init__(self, policy: OnUnsupported = "drop-hints") -> None:
        """`dropped` is what was passed over, each once, in the order it was met."""
        self.policy = policy
        self.dropped: tuple[str, ...] = ()

    def hint(self, field: str, what: str = "") -> None:
        """Passes over a hint. Raises Unsupported where all is to be refused."""
        if self.policy == "refuse":
            raise Unsupported(field, what or f"'{field}'")
        self._drop(field)

    def hints(self, given: Json, known: Container[str] = ()) -> None:
        """Passes over those of a conversation's `hints` that are not known, but for those that ask for nothing."""
        for name, value in given.items():
            if name not in known and bytes(value) != b"false" and not asks_nothing(name, value):
                self.hint(name)

    def replayed(self, field: str) -> None:
        """Passes over what a history only replays: nothing is asked by it, so that no policy refuses it."""
        self._drop(field)

    def demand(self, field: str, what: str = "") -> None:
        """Refuses a demand by raising Unsupported. Passes it over where all is to be dropped."""
        if self.policy != "drop":
            raise Unsupported(field, what or f"'{field}'")
        self._drop(field)

    def unsupported(self, field: str, what: str = "", value: object = ASKED) -> None:
        """Passes over or refuses a field, whichever it is by `DEMANDS`, unless `value` asks for nothing.

        Raises Unsupported.
        """
        if value is not ASKED and asks_nothing(field, value):
            return
        if field in DEMANDS:
            self.demand(field, what)
        else:
            self.hint(field, what)

    def _drop(self, field: str) -> None:
        if len(self.dropped) < MAX_NAMED and field not in self.dropped:
            self.dropped += (field,)
