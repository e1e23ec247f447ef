"""Moderations of Mistral, whose categories are not OpenAI's.

Source: https://docs.mistral.ai/api/endpoint/classifiers and https://docs.mistral.ai/studio/safety-moderation
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from weebill.providers.base import Answer, Target, UpstreamRequest
from weebill.providers.operations.errors import WholeAnswers, check_fields, given, refused
from weebill.providers.operations.openai import read_answer
from weebill.providers.operations.usage import read_usage
from weebill.providers.usage import estimate
from weebill.wire.moderations import CATEGORIES, ModerationAnswer, ModerationPart, ModerationRequest, ModerationResult
from weebill.wire.operation_call import OperationCall

_encode = msgspec.json.encode
# Mistral's categories that have one of OpenAI's for a counterpart; where several do, the highest score counts.
_COUNTERPARTS: Final = {
    "sexual": "sexual",
    "hate_and_discrimination": "hate",
    "violence_and_threats": "violence",
    "selfharm": "self-harm",
    "dangerous_and_criminal_content": "illicit",
    "dangerous": "illicit",
    "criminal": "illicit",
}


class _Request(Struct, frozen=True):
    model: str
    input: list[str]


class _Result(Struct, frozen=True):
    categories: dict[str, bool]
    category_scores: dict[str, float]


class _Answer(Struct, frozen=True):
    results: list[_Result]
    id: str = ""
    model: str = ""
    usage: Raw | UnsetType = UNSET


_decode_answer = msgspec.json.Decoder(_Answer).decode


class MistralModerations(WholeAnswers):
    """Mistral's moderation of texts. Its own categories stay beside OpenAI's, and flag an input like them."""

    def encode(self, call: OperationCall, target: Target) -> UpstreamRequest:
        dropped = check_fields(call, frozenset({"input"}), target)
        return UpstreamRequest(b"/moderations", _encode(_Request(target.model, _texts(call, target))), dropped=dropped)

    def decode(self, call: OperationCall, body: bytes, content_type: bytes) -> Answer:
        answer = read_answer(_decode_answer, body, "a list of moderation results")
        results = [_judged(result) for result in answer.results]
        usage = read_usage(given(answer.usage)) or estimate(call)
        return Answer(_encode(ModerationAnswer(answer.id, answer.model or call.model, results)), usage)


def _judged(result: _Result) -> ModerationResult:
    categories = dict.fromkeys(CATEGORIES, False)
    scores = dict.fromkeys(CATEGORIES, 0.0)
    judged: dict[str, list[str]] = {name: [] for name in CATEGORIES}
    for own, flagged in result.categories.items():
        score = result.category_scores.get(own, 0.0)
        for name in {own, _COUNTERPARTS.get(own, own)}:
            categories[name] = categories.get(name, False) or flagged
            scores[name] = max(scores.get(name, 0.0), score)
            judged[name] = ["text"]
    return ModerationResult(any(categories.values()), categories, scores, judged)


def _texts(call: OperationCall, target: Target) -> list[str]:
    """The texts to judge. Parts of one input are joined, as OpenAI judges them together."""
    request = call.request
    assert isinstance(request, ModerationRequest)  # noqa: S101 - the table of operations sees to it
    if isinstance(request.input, str):
        return [request.input]
    texts = [each for each in request.input if isinstance(each, str)]
    parts = [each for each in request.input if isinstance(each, ModerationPart)]
    if not parts:
        return texts
    if texts:
        raise refused("input", "texts and parts in one input", target)
    for index, part in enumerate(parts):
        if part.type != "text" or part.text is None:
            raise refused(f"input[{index}]", f"'{part.type}' as input", target)
    return ["\n".join(part.text for part in parts if part.text is not None)]
