"""The traits of models, as their makers document them: reasoning, sampling, and refused fields.

The rows of `data/traits.json` name models by patterns; the first that matches counts. Unknown traits leave a request as
the client sent it.
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
"""The handling of unsupported fields: hints dropped and demands refused, all refused, or all dropped."""
Thinking = Literal["effort", "budget", "level", "adaptive", "switch"]
"""The form in which a model is told how much to reason: a word, a number of tokens, Gemini's level, Anthropic's
adaptive thinking with a word, or only on and off.
"""

# Prefixes of a model's own name, for region and maker: `us.anthropic.`, `arn:...:inference-profile/`, `openai/`.
_BEFORE: Final = re.compile(
    r"^(?:.*/)?(?:(?:global|us|us-gov|eu|apac|jp|au|ca|sa|uk|me|mx|af|il)\.)?(?:[a-z0-9]+\.(?=[a-z]))?"
)


class Traits(Row, frozen=True, kw_only=True):
    """The traits of a model. None is unknown.

    `reasoning`: it reasons at all; `always_thinks`: reasoning cannot be turned off. `thinking` is the form in which it
    is told, `efforts` are the words for it, ascending, `budget` the least and the most tokens. `sampling`: it takes
    `temperature` and `top_p` together, one of them, or none. `refuses` are further fields of Conversation that it
    answers with an error. `completion_tokens`: its limit is named `max_completion_tokens`. `signed`: reasoning that is
    sent back must have its signature. `schema`: it can be held to a JSON Schema, in text and in arguments of tools.
    `prefill`: it continues an answer that the request begins.
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
    """The traits of models whose names match one of `models` (shell patterns); `source` documents them."""

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
    """Returns the traits of the model with that name, its maker's or an upstream's, with or without prefixes.

    `reasoning` is used if no row says whether it reasons.

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
    """Returns a model's own name, in lower case, without region, maker and path.

    >>> bare_name("us.anthropic.claude-sonnet-4-5-20250929-v1:0")
    'claude-sonnet-4-5-20250929-v1:0'
    """
    return _BEFORE.sub("", name.lower(), count=1)
