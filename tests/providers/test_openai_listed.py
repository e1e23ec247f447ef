"""Lists in relayed chunks, put together by OpenAI's own accumulator."""

from __future__ import annotations

import json

import pytest
from openai.lib.streaming._deltas import accumulate_delta

from tests.providers.test_openai_odd import chunk, events, relayed
from weebill.providers.openai.listed import Lists

CITED = [{"type": "url_citation", "url_citation": {"url": f"https://a/{at}", "title": str(at)}} for at in range(3)]
IMAGES = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{at}"}} for at in ("QQ==", "Qg==", "Qw==")]


def thought(text: str, **fields: object) -> dict[str, object]:
    return {"type": "reasoning.text", "text": text, "format": "unknown", **fields}


SEALED = {"type": "reasoning.encrypted", "data": "abc", "id": "rs_1", "format": "openai-responses-v1"}

SUMMED = {"type": "reasoning.summary", "summary": "a", "index": 0}
SEALED_TOO = {**SEALED, "index": 0}


def block(text: str, signature: str | None = None) -> dict[str, object]:
    return {"type": "thinking", "thinking": text, "signature": signature}


SIGNED = [block("One two", "s")]
REDACTED = {"type": "redacted_thinking", "data": "abc"}
TWO = [thought("a", id="x"), thought("b", id="y")]
FOUND = [{"title": str(at), "url": f"https://a/{at}"} for at in range(3)]
RAN = [{"type": kind, "arguments": "{}", "output": str(at)} for at, kind in enumerate(("search", "visit", "python"))]
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
        ("reasoning_details", [[SUMMED], [SEALED_TOO], [{**SUMMED, "summary": " b"}], [{**SUMMED, "index": 1}]],
         [{**SUMMED, "summary": "a b"}, SEALED, SUMMED]),
        ("executed_tools", [[each] for each in RAN], RAN),
        ("search_results", [FOUND[:1], FOUND[1:]], FOUND),
        ("anything", [[{"a": 1}], [], [{"b": [{"c": 1}]}]], [{"a": 1}, {"b": [{"c": 1, "index": 0}]}]),
        ("citations", [[{**each, "index": at}] for each, at in zip(FOUND, ("0-1", -1, {}), strict=True)], FOUND),
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
    assert listed == [{key: value for key, value in each.items() if key != "index"} for each in expected]


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        ([{"provider_specific_fields": {"citations": [each]}} for each in FOUND],
         {"provider_specific_fields": {"citations": FOUND}}),
        ([{"executed_tools": [{"index": 0, "search_results": {"results": [each]}}]} for each in FOUND],
         {"executed_tools": [{"search_results": {"results": FOUND}}]}),
        ([{"audio": {"id": "", "marks": [each]}} for each in FOUND], {"audio": {"id": "", "marks": FOUND}}),
        ([{"a": {"content": [each]}} for each in FOUND], {"a": {"content": FOUND}}),
        ([{"urls": [each["url"]]} for each in FOUND], {"urls": [each["url"] for each in FOUND]}),
        ([{"content": 'a[{"b"'}, {"content": ":[{}]}]"}], {"content": 'Hia[{"b":[{}]}]'}),
    ],
)  # fmt: skip
def test_lists_further_in_accumulate(deltas: list[dict[str, object]], expected: dict[str, object]) -> None:
    chunks, _ = relayed([events(chunk({"role": "assistant", "content": "Hi"}), *map(chunk, deltas), chunk({}, "stop"))])
    told: dict[object, object] = {}
    for each in chunks:
        for choice in each["choices"]:  # type: ignore[attr-defined]
            told = accumulate_delta(told, choice["delta"])
    assert without_index(told) == {"role": "assistant", "content": "Hi", **expected}


def without_index(value: object) -> object:
    if isinstance(value, dict):
        return {name: without_index(each) for name, each in value.items() if name != "index"}
    return [without_index(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", [["a"], ["a", "b"]])
def test_what_is_kept_of_lists_is_bounded(path: list[str]) -> None:
    lists = Lists()
    for at in range(3000):
        held: object = [{}]
        for name in (*path, str(at)):
            held = {name: held}
        lists.chunk(json.dumps(chunk(held)).encode())
    assert len(lists._known) <= 1024


def test_depth_is_bounded() -> None:
    deep: object = [{}]
    for _ in range(400):
        deep = [{"a": deep}]
    given = json.dumps(chunk({"a": deep})).encode()
    assert json.loads(Lists().chunk(given))["choices"][0]["delta"]["a"][0]["index"] == 0
