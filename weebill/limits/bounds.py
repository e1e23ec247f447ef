"""The most that one call of an upstream may take, by what is sent to it and what is known of the model.

A token is at least a byte of the prompt in the tokenizers in use, so the bytes of the body are more than the prompt has
tokens, unless it refers to more: images and files count as `_MEDIA_TOKENS` each. The answer has at most the tokens that
the body allows, in whatever dialect it says so, else the most that the model writes. Both together are no more than
the context, where that is known.

What no bound holds for is settled as it was billed all the same: tools that the provider runs itself, whose results
become part of the prompt, and models of which nothing is known, which are taken to write `UNKNOWN_OUTPUT` tokens.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec
from msgspec import Raw

from weebill.catalog.schema import Price, Rates

UNKNOWN_OUTPUT: Final = 32_768
_MEDIA_TOKENS: Final = 50_000
_WITH_TOOLS: Final = 1024  # of a prompt that providers add for tools
_TEMPLATE: Final = 64  # of what they add for themselves
_TOKENS_PER_RATE: Final = 1000
_LONG_WRITE: Final = 2
_REFERRED: Final = re.compile(
    rb'"(?:image|image_url|input_image|images|inlineData|inline_data|fileData|file_data|fileUri|file_id|file_url|'
    rb"input_file|file|document|input_audio|audio|video_url|input_video|video|previous_response_id|cachedContent|"
    rb'conversation|container)"'
)
_UNSAID: Final = Raw(b"")
_MOST_PRICES: Final = 1024


class _Gemini(msgspec.Struct, frozen=True):
    maxOutputTokens: int | None = None  # noqa: N815 - Google's names
    candidateCount: int | None = None  # noqa: N815


class _Bedrock(msgspec.Struct, frozen=True):
    maxTokens: int | None = None  # noqa: N815 - Amazon's name


class _Ollama(msgspec.Struct, frozen=True):
    num_predict: int | None = None


class _Body(msgspec.Struct, frozen=True):
    """The limits of an answer, as any dialect has them."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None
    prompt: Raw = _UNSAID
    tools: Raw = _UNSAID
    generationConfig: _Gemini | None = None  # noqa: N815 - Google's name
    inferenceConfig: _Bedrock | None = None  # noqa: N815 - Amazon's name
    options: _Ollama | None = None


_decode: Final = msgspec.json.Decoder(_Body).decode
_prompts: Final = msgspec.json.Decoder(list[str | list[int]]).decode
_NOTHING_SAID: Final = _Body()
_dearest: Final[dict[int, tuple[Price, int, int]]] = {}


class Bound(NamedTuple):
    """The most tokens of a prompt, and of all answers to it."""

    prompt: int
    answer: int

    @property
    def tokens(self) -> int:
        """Both together."""
        return self.prompt + self.answer


def bound_of(body: bytes, max_output: int | None, context: int | None) -> Bound:
    """Returns the bound of a call with this body, of a model that writes and reads so many tokens; None if unknown."""
    try:
        said = _decode(body)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):  # no JSON, or nothing that we know
        said = _NOTHING_SAID
    prompt = len(body) + _TEMPLATE
    if said.tools is not _UNSAID:
        prompt += _WITH_TOOLS
    referred = _REFERRED.findall(body)
    if referred:
        prompt += len(referred) * _MEDIA_TOKENS
    if context is not None and context < prompt:
        prompt = context
    limit = _limit(said)
    if limit is None or limit < 0:
        limit = max_output if max_output is not None else UNKNOWN_OUTPUT if context is None else context
    elif max_output is not None and max_output < limit:
        limit = max_output
    return Bound(prompt, limit * _answers(said))


def most_nano(price: Price, bound: Bound) -> int:
    """Returns the most nano-dollars that a call within the bound costs: at the dearest rates that may apply."""
    known = _dearest.get(id(price))
    if known is None or known[0] is not price:
        known = _remembered(price)
    return -(-(bound.prompt * known[1] + bound.answer * known[2]) // _TOKENS_PER_RATE)


def _remembered(price: Price) -> tuple[Price, int, int]:
    """Returns a price, and the dearest rates to read and to write."""
    tiers = [price, *price.tiers]
    read = max([_dearest_read(rates) for rates in tiers])
    write = max([max(rates.output, rates.reasoning or 0) for rates in tiers])
    if len(_dearest) >= _MOST_PRICES:
        _dearest.clear()
    known = _dearest[id(price)] = price, read, write
    return known


def _dearest_read(rates: Rates) -> int:
    write = rates.cache_write
    return max(rates.input, rates.cache_read or 0, write or 0, 0 if write is None else _LONG_WRITE * rates.input)


def _limit(said: _Body) -> int | None:
    if said.generationConfig is None and said.inferenceConfig is None and said.options is None:
        limit, other = said.max_completion_tokens, said.max_tokens
        if limit is None:
            return said.max_output_tokens if other is None else other
        return limit if other is None else max(limit, other)
    given = [
        said.max_completion_tokens,
        said.max_tokens,
        said.max_output_tokens,
        said.generationConfig.maxOutputTokens if said.generationConfig else None,
        said.inferenceConfig.maxTokens if said.inferenceConfig else None,
        said.options.num_predict if said.options else None,
    ]
    limits = [each for each in given if each is not None]
    return max(limits) if limits else None


def _answers(said: _Body) -> int:
    """Returns the number of answers that are asked for."""
    if said.prompt is _UNSAID and said.generationConfig is None and said.best_of is None:
        return said.n if said.n is not None and said.n > 1 else 1
    count = max(1, said.n or 1, said.best_of or 1)
    if said.generationConfig is not None:
        count = max(count, said.generationConfig.candidateCount or 1)
    text = bytes(said.prompt)
    if text[:1] == b"[":
        try:
            count *= max(1, len(_prompts(text)))
        except msgspec.MsgspecError:  # the tokens of one prompt
            return count
    return count
