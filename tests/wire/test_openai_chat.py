"""What requests and answers of Chat Completions share."""

import msgspec
import pytest

from weebill.wire.conversation import Reasoning
from weebill.wire.openai_chat import (
    ReasoningDetail,
    UsageReport,
    marked,
    reasoning_details,
    reasoning_of,
    split_data_uri,
    unmarked,
)
from weebill.wire.openai_usage import usage_of
from weebill.wire.reply import Usage

used = Usage.reported
REPORTS = [
    ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}, used(9, 4)),
    # What holds no count measures nothing.
    ({}, Usage()),
    ({"prompt_tokens": None, "completion_tokens": None, "prompt_tokens_details": None}, Usage()),
    ({"prompt_tokens": 9, "total_tokens": 13}, used(9, 4)),
    (
        {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 12}},
        used(9, 4, cached=9),
    ),
    (
        {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 3}},
        used(9, 0, cached=5, cache_write=3),
    ),
    ({"prompt_tokens": 9, "cached_tokens": 5}, used(9, 0, cached=5)),
    # A total above the sum: Google's, which does not say what the rest is, and one that nothing explains.
    ({"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 20}, used(9, 11, reasoning=7)),
    (
        {
            "prompt_tokens": 9,
            "completion_tokens": 4,
            "total_tokens": 20,
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
        used(9, 4, reasoning=2),
    ),
]


@pytest.mark.parametrize(("report", "usage"), REPORTS)
def test_usage_keeps_to_its_invariant(report: dict[str, object], usage: Usage) -> None:
    assert usage_of(msgspec.convert(report, UsageReport)) == usage


PIECES = [
    Reasoning("a", "sig", origin="anthropic"),
    Reasoning("", encrypted="enc", origin="anthropic"),
    Reasoning("words", encrypted="enc", id="rs_1", origin="openai"),
    Reasoning("words", "sig", "enc", "rs_1", "bedrock"),
    Reasoning("", "sig", origin="gemini"),
]


def test_reasoning_comes_back_as_it_went() -> None:
    details: list[ReasoningDetail] = []
    for piece in PIECES:
        details += reasoning_details(piece, len(details))
    assert [detail.index for detail in details] == list(range(len(details)))
    assert reasoning_of(details, "") == PIECES


def test_reasoning_that_came_in_pieces_comes_back_whole() -> None:
    pieces = [
        ReasoningDetail("reasoning.text", text="a", index=0),
        ReasoningDetail("reasoning.text", text="b", format="x", index=0),
        ReasoningDetail("reasoning.text", signature="s", index=0),
        ReasoningDetail("reasoning.text", text="c", index=1),
    ]
    assert reasoning_of(pieces, "") == [Reasoning("ab", "s"), Reasoning("c")]


def test_text_alone_leaves_nothing_to_send_back() -> None:
    assert reasoning_details(Reasoning("a", origin="openai"), 0) == []


@pytest.mark.parametrize("origin", ["gemini", "anthropic", "a-b"])
def test_a_signature_keeps_its_origin(origin: str) -> None:
    assert unmarked(marked("s:i:g", origin), "gemini") == ("s:i:g", origin)


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("data:image/png;base64,QUJD", ("image/png", "QUJD")),
        ("data:image/png;name=a;base64,QUJD", ("image/png", "QUJD")),
        ("data:text/plain,abc", None),
        ("https://example.com/a.png", None),
    ],
)
def test_data_uris(uri: str, parts: tuple[str, str] | None) -> None:
    assert split_data_uri(uri) == parts
