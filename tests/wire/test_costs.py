"""What upstreams say of costs, and of what they wrote to caches for an hour.

The bodies have the shapes that are public: https://openrouter.ai/docs/use-cases/usage-accounting,
https://docs.claude.com/en/docs/build-with-claude/prompt-caching,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec
import pytest
from msgspec import Raw

from weebill.providers.anthropic.dialect import ANTHROPIC_DIALECT
from weebill.providers.bedrock.decode import TokenUsage
from weebill.providers.openai.dialect import OPENAI_CHAT
from weebill.providers.operations.usage import read_usage
from weebill.wire.anthropic_usage import UsageReport as AnthropicUsage
from weebill.wire.openai_chat import UsageReport
from weebill.wire.openai_usage import usage_of
from weebill.wire.reply import MOST, Usage, UsageReported

Json = dict[str, Any]
COUNTS: Final[Json] = {"prompt_tokens": 26930, "completion_tokens": 6451, "total_tokens": 33381}
CACHES: Final[Json] = {"prompt_tokens_details": {"cached_tokens": 128, "cache_write_tokens": 0}}
DETAILS: Final[Json] = {"upstream_inference_cost": 0.092374, "upstream_inference_prompt_cost": 0.053668}
SAID: Final[list[tuple[Json, int | None]]] = [
    ({"cost": 0.092374, "is_byok": False, "cost_details": DETAILS}, 92_374_000),
    ({"cost": 0.092374, "is_byok": False, "cost_details": DETAILS, **CACHES}, 92_374_000),
    ({"cost": 0.0000067}, 6_700),
    ({"cost": 0, "is_byok": False, "cost_details": {"upstream_inference_cost": 0}}, 0),
    # With a key of one's own, the provider behind charges, and OpenRouter a fee.
    ({"cost": 0.0046, "is_byok": True, "cost_details": DETAILS}, 96_974_000),
    ({"cost": 0.0046, "is_byok": True, "cost_details": {"upstream_inference_cost": None}}, 4_600_000),
    ({"cost": 0.0046, "is_byok": True, "cost_details": None}, 4_600_000),
    ({"cost": 0.0046, "is_byok": True}, 4_600_000),
    # Perplexity's.
    ({"cost": {"input_tokens_cost": 0.00002, "request_cost": 0.005, "total_cost": 0.00551}}, 5_510_000),
    ({}, None),
    ({"cost": None}, None),
    ({"cost": "free"}, None),
    ({"cost": "0.5"}, None),
    ({"cost": []}, None),
    ({"cost": {}}, None),
    ({"cost": -1}, None),
    ({"cost": 1e300}, None),
    ({"cost": 0.1, "is_byok": True, "cost_details": "?"}, None),
]


@pytest.mark.parametrize(("said", "nano"), SAID)
def test_a_cost_that_is_reported_costs_no_count(said: Json, nano: int | None) -> None:
    body = json.dumps({**COUNTS, **said}).encode()
    usage = usage_of(msgspec.json.decode(body, type=UsageReport))
    assert (usage.cost_nano, usage.measured) == (nano, True)
    assert (usage.prompt_tokens, usage.completion_tokens) == (26930, 6451)


@pytest.mark.parametrize("said", [{"cost": 0.5}, {"cost": {"total_cost": 0.5}}])
def test_a_cost_comes_with_an_answer_and_with_a_stream(said: Json) -> None:
    usage = {**COUNTS, **said}
    message = {"role": "assistant", "content": "Hi."}
    whole = {"id": "gen-1", "model": "m", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    assert OPENAI_CHAT.decode(json.dumps({**whole, "usage": usage}).encode()).usage.cost_nano == 500_000_000
    decoder = OPENAI_CHAT.stream()
    delta = {"index": 0, "delta": {"content": "Hi."}, "finish_reason": "stop"}
    events = [
        *decoder.feed(b"data: %b\n\n" % json.dumps({"id": "gen-1", "choices": [delta]}).encode()),
        *decoder.feed(b"data: %b\n\n" % json.dumps({"id": "gen-1", "choices": [], "usage": usage}).encode()),
        *decoder.feed(b"data: [DONE]\n\n"),
        *decoder.finish(),
    ]
    assert [each.usage.cost_nano for each in events if isinstance(each, UsageReported)][-1] == 500_000_000


def test_other_endpoints_report_costs_too() -> None:
    usage = read_usage(Raw(b'{"prompt_tokens": 8, "total_tokens": 8, "cost": 0.0000016}'))
    assert usage == Usage.reported(8, 0, cost_nano=1_600)


CREATED: Final[Json] = {"ephemeral_1h_input_tokens": 4673, "ephemeral_5m_input_tokens": 27}
ANTHROPIC: Final[Json] = {
    "input_tokens": 3, "cache_creation_input_tokens": 4700, "cache_read_input_tokens": 11367, "output_tokens": 80
}  # fmt: skip


@pytest.mark.parametrize(
    ("creation", "long"),
    [
        (CREATED, 4673),
        ({"ephemeral_1h_input_tokens": 0, "ephemeral_5m_input_tokens": 4700}, 0),
        ({"ephemeral_1h_input_tokens": 9999}, 4700),
        ({"ephemeral_1h_input_tokens": -1}, 0),
        ({"ephemeral_1h_input_tokens": None}, 0),
        ({}, 0),
        (None, 0),
    ],
)
def test_what_anthropic_wrote_to_its_cache_for_an_hour(creation: Json | None, long: int) -> None:
    report = msgspec.json.decode(json.dumps({**ANTHROPIC, "cache_creation": creation}).encode(), type=AnthropicUsage)
    usage = report.usage()
    assert (usage.prompt_tokens, usage.cache_write_tokens, usage.long_write_tokens) == (16070, 4700, long)
    # In a stream it comes at the beginning, and the end need not repeat it.
    assert report.updated(AnthropicUsage(output_tokens=81)).usage().long_write_tokens == long


def test_an_answer_of_anthropics_keeps_it() -> None:
    body = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
        "content": [{"type": "text", "text": "Hi."}], "usage": {**ANTHROPIC, "cache_creation": CREATED},
    }  # fmt: skip
    assert ANTHROPIC_DIALECT.decode(json.dumps(body).encode()).usage.long_write_tokens == 4673


def test_what_bedrock_wrote_to_its_cache_for_an_hour() -> None:
    body = {
        "inputTokens": 3, "outputTokens": 80, "totalTokens": 4783, "cacheWriteInputTokens": 4700,
        "cacheDetails": [{"ttl": "1h", "inputTokens": 4673}, {"ttl": "5m", "inputTokens": 27}],
    }  # fmt: skip
    usage = msgspec.json.decode(json.dumps(body).encode(), type=TokenUsage).usage()
    assert (usage.cache_write_tokens, usage.long_write_tokens) == (4700, 4673)


@pytest.mark.parametrize(
    ("usage", "bounded"),
    [
        (Usage(10**30, 10**29, 5, True, 10**29, 0), Usage(MOST, MOST, 5, True, 0, 0)),
        (Usage(7, 1, 2**60, True, 2, 2**59, 1, 9), Usage(7, 1, MOST, True, 2, MOST, 1, 9)),
        (Usage(2**60, 0, 1), Usage(MOST, 0, 1)),
    ],
)
def test_counts_that_are_too_large_are_bounded(usage: Usage, bounded: Usage) -> None:
    assert usage.bounded() == bounded
