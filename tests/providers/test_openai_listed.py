"""Lists in relayed chunks, put together by OpenAI's own accumulator."""

from __future__ import annotations

import pytest
from openai.lib.streaming._deltas import accumulate_delta

from tests.providers.test_openai_odd import chunk, events, relayed

CITED = [{"type": "url_citation", "url_citation": {"url": f"https://a/{at}", "title": str(at)}} for at in range(3)]
IMAGES = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{at}"}} for at in ("QQ==", "Qg==", "Qw==")]


def thought(text: str, **fields: object) -> dict[str, object]:
    return {"type": "reasoning.text", "text": text, "format": "unknown", **fields}


SEALED = {"type": "reasoning.encrypted", "data": "abc", "id": "rs_1", "format": "openai-responses-v1"}


def block(text: str, signature: str | None = None) -> dict[str, object]:
    return {"type": "thinking", "thinking": text, "signature": signature}


SIGNED = [block("One two", "s")]
REDACTED = {"type": "redacted_thinking", "data": "abc"}
TWO = [thought("a", id="x"), thought("b", id="y")]
WHOLE = {**thought("One two three"), "signature": "s"}


def doubled(name: str, delta: list[dict[str, object]]) -> dict[str, object]:
    """Where LiteLLM has its own once more."""
    return {"provider_specific_fields": {name: delta, "x": 1}} if name == "thinking_blocks" else {}


@pytest.mark.parametrize("size", [1, 7, 100_000])
@pytest.mark.parametrize(
    ("name", "deltas", "expected"),
    [
        ("annotations", [[each] for each in CITED], CITED),
        ("annotations", [CITED[:2], CITED[2:]], CITED),
        ("images", [[each] for each in IMAGES], IMAGES),
        ("annotations", [[{**CITED[0], "index": 0}], [{**CITED[1], "index": 1}], [CITED[2]]], CITED),
        ("reasoning_details", [[thought("One ")], [thought("two ")], [thought("three", signature="s")]], [WHOLE]),
        ("reasoning_details", [[thought("One")], [SEALED], [thought("two")]], [thought("One"), SEALED, thought("two")]),
        ("reasoning_details", [TWO], TWO),
        ("thinking_blocks", [[block("One ")], [block("two")], [block("", "s")]], SIGNED),
        ("thinking_blocks", [[block("One two")], [block("", "s")], [block("a")], [block("b")]], [*SIGNED, block("ab")]),
        ("thinking_blocks", [[block("One two", "s")], [REDACTED], [REDACTED]], [*SIGNED, REDACTED, REDACTED]),
        ("annotations", [[{**each, "index": at}] for each, at in zip(CITED, (None, "1", 2.0), strict=True)], CITED),
        ("reasoning_details", [[thought("One", index=0)], [thought(" two", index=0)]], [thought("One two")]),
    ],
)  # fmt: skip
def test_lists_accumulate(
    name: str, deltas: list[list[dict[str, object]]], expected: list[dict[str, object]], size: int
) -> None:
    sent = events(
        chunk({"role": "assistant", "content": "Hi"}),
        *[chunk({name: delta, **doubled(name, delta)}) for delta in deltas],
        chunk({}, "stop"),
    )
    chunks, _ = relayed([sent[at : at + size] for at in range(0, len(sent), size)])
    told: dict[object, object] = {}
    for each in chunks:
        for choice in each["choices"]:  # type: ignore[attr-defined]
            told = accumulate_delta(told, choice["delta"])
    listed = told[name]
    if name == "thinking_blocks":
        further = told["provider_specific_fields"]
        assert isinstance(further, dict)
        assert further[name] == listed
    assert isinstance(listed, list)
    assert [entry.pop("index") for entry in listed] == list(range(len(expected)))
    assert listed == expected
