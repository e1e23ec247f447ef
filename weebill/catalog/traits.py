"""What requests to a model may say, as its maker documents it: thinking, sampling, and what is refused.

The rows of `data/traits.json` name models by patterns; of those that match, the first holds. What no row says is not
known, and goes along as the client said it.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Final, Literal

import msgspec

from weebill.catalog.load import DATA
from weebill.catalog.schema import Row

OnUnsupported = Literal["drop-hints", "refuse", "drop"]
"""What becomes of fields that a target cannot do: hints dropped and demands refused, all refused, or all dropped."""
Thinking = Literal["effort", "budget", "level", "adaptive", "switch"]
"""How a model is told how much to think: a word, a number of tokens, Gemini's level, Anthropic's own judgement with a
word, or only whether."""

# Where a model is and who made it, before its own name: `us.anthropic.`, `arn:...:inference-profile/`, `openai/`.
_BEFORE: Final = re.compile(
    r"^(?:.*/)?(?:(?:global|us|us-gov|eu|apac|jp|au|ca|sa|uk|me|mx|af|il)\.)?(?:[a-z0-9]+\.(?=[a-z]))?"
)


class Traits(Row, frozen=True, kw_only=True):
    """What a model takes. None is not known, and asks for nothing.

    `reasoning` is whether it thinks at all, `always_thinks` whether it cannot be kept from it. `thinking` is how it is
    told, `efforts` the words that it takes for it, ascending, `budget` the least and the most tokens. `sampling` is
    whether it takes `temperature` and `top_p` together, one of them, or none. `refuses` are further fields of
    Conversation that it answers with an error; `completion_tokens` is whether its limit must be named
    `max_completion_tokens`; `signed` whether thinking that goes back to it must bear its signature. `schema` is whether
    it can be held to a JSON schema, in its text and in the arguments of tools; `prefill` whether it goes on with what a
    conversation has begun to say for it.
    """

    reasoning: bool | None = None
    always_thinks: bool = False
    thinking: Thinking | None = None
    efforts: tuple[str, ...] | None = None
    budget: tuple[int, int] | None = None
    sampling: Literal["both", "one", "none"] = "both"
    refuses: tuple[str, ...] = ()
    completion_tokens: bool = False
    signed: bool = False
    schema: bool | None = None
    prefill: bool = True


class TraitsRow(Traits, frozen=True, kw_only=True):
    """Traits of the models whose names match one of `models`, patterns as a shell's; `source` is where it says so."""

    models: tuple[str, ...]
    source: str


class TraitsFile(Row, frozen=True, kw_only=True):
    """`data/traits.json`."""

    date: str
    rows: tuple[TraitsRow, ...]


NOTHING_SAID: Final = Traits()


@lru_cache(maxsize=1)
def _rows() -> tuple[TraitsRow, ...]:
    return msgspec.json.decode((DATA / "traits.json").read_bytes(), type=TraitsFile).rows


@lru_cache(maxsize=4096)
def traits_of(name: str, reasoning: bool | None = None) -> Traits:
    """The traits of the model with that name, its maker's or an upstream's, whatever stands before it.

    `reasoning` is what is known where no row says whether it thinks.

    >>> traits_of("arn:aws:bedrock:eu-west-1:1:inference-profile/eu.anthropic.claude-opus-4-1-20250805-v1:0").sampling
    'one'
    """
    bare = bare_name(name)
    for row in _rows():
        if any(fnmatchcase(bare, pattern) for pattern in row.models):
            known = Traits(**{field: getattr(row, field) for field in Traits.__struct_fields__})
            return known if known.reasoning is not None else msgspec.structs.replace(known, reasoning=reasoning)
    return NOTHING_SAID if reasoning is None else Traits(reasoning=reasoning)


@lru_cache(maxsize=4096)
def bare_name(name: str) -> str:
    """A model's own name, in lower case, without region, maker and path.

    >>> bare_name("us.anthropic.claude-sonnet-4-5-20250929-v1:0")
    'claude-sonnet-4-5-20250929-v1:0'
    """
    return _BEFORE.sub("", name.lower(), count=1)
