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
from typing import Final

import msgspec
from msgspec import Raw

UNKNOWN_OUTPUT: Final = 32_768
_MEDIA_TOKENS: Final = 50_000
_WITH_TOOLS: Final = 1024  # of a prompt that providers add for tools
_TEMPLATE: Final = 64  # of what they add for themselves
# By the first letters: most strings of a body are passed over at their first one.
_REFERRED: Final = re.compile(
    rb'"(?:i(?:mage(?:|s|_url)|nput_(?:image|file|audio|video)|nline(?:Data|_data))|'
    rb"file(?:|Data|Uri|_data|_id|_url)|document|audio|video(?:|_url)|previous_response_id|"
    rb'c(?:achedContent|on(?:versation|tainer)))"'
)
_UNSAID: Final = Raw(b"")


class _Gemini(msgspec.Struct, frozen=True):
    maxOutputTokens: int | None = None  # noqa: N815 - Google's names
    candidateCount: int | None = None  # noqa: N815


class _Bedrock(msgspec.Struct, frozen=True):
    maxTokens: int | None = None  # noqa: N815 - Amazon's name


class _Ollama(msgspec.Struct, frozen=True):
    num_predict: int | None = None


class _Body(msgspec.Struct, frozen=True, gc=False):
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


class Bound(msgspec.Struct, frozen=True, gc=False):
    """The most tokens of a prompt, and of all answers to it."""

    prompt: int
    answer: int


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
    return Bound(prompt, _answers(said, max_output, UNKNOWN_OUTPUT if context is None else context))


def _answers(said: _Body, max_output: int | None, unknown: int) -> int:
    """Returns the most tokens of all answers that are asked for."""
    if said.generationConfig is None and said.inferenceConfig is None and said.options is None:
        limit, other = said.max_completion_tokens, said.max_tokens
        if limit is None:
            limit = said.max_output_tokens if other is None else other
        elif other is not None and other > limit:
            limit = other
    else:
        limit = _largest(said)
    if limit is None or limit < 0:
        limit = unknown if max_output is None else max_output
    elif max_output is not None and max_output < limit:
        limit = max_output
    if said.n is None and said.prompt is _UNSAID and said.best_of is None and said.generationConfig is None:
        return limit
    return limit * _count(said)


def _largest(said: _Body) -> int | None:
    given = [
        said.max_completion_tokens,
        said.max_tokens,
        said.max_output_tokens,
        said.generationConfig.maxOutputTokens if said.generationConfig else None,
        said.inferenceConfig.maxTokens if said.inferenceConfig else None,
        said.options.num_predict if said.options else None,
    ]
    return max([each for each in given if each is not None], default=None)


def _count(said: _Body) -> int:
    """Returns the number of answers that are asked for."""
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
