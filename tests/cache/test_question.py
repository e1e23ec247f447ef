"""Two requests that ask the same have the same key, and no others have."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from tests.cache.asking import APIS, SECRET, body, call
from weebill.apis.gemini.api import GEMINI
from weebill.cache.question import Question, limits_length, question
from weebill.wire.call import Call

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip
# None of these has a meaning of its own.
EXTRAS = st.dictionaries(NAMES.map(lambda name: f"x_{name}"), JSON, max_size=4)


def key(asked: Call, api: str = "chat", model: str = "m", tenant: str = "t", secret: bytes = SECRET) -> bytes:
    found = question(asked, APIS[api], model, tenant, secret)
    assert found is not None
    return found.key


class Written:
    """Writes JSON in one of the many ways that mean the same, as `data` decides."""

    def __init__(self, data: st.DataObject) -> None:
        self._data = data

    def space(self) -> str:
        return self._data.draw(st.sampled_from(["", " ", "\n", "\t ", "\r\n"]))

    def value(self, value: object) -> str:
        space = self.space
        if isinstance(value, dict):
            items = self._data.draw(st.permutations(list(value.items())))
            inner = ",".join(
                f"{space()}{self.text(name)}{space()}:{space()}{self.value(each)}{space()}" for name, each in items
            )
            return f"{{{inner or space()}}}"
        if isinstance(value, list):
            return f"[{','.join(space() + self.value(each) + space() for each in value)}]"
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int) and not isinstance(value, bool):
            forms = [str(value), f"{value}.0", f"{value}e0", f"{value}.00E+0"]
            return self._data.draw(st.sampled_from(forms if abs(value) < 2**53 else forms[:1]))
        return json.dumps(value)

    def text(self, value: str) -> str:
        return json.dumps(value, ensure_ascii=self._data.draw(st.booleans()))


@given(extras=EXTRAS, data=st.data())
def test_how_json_is_written_makes_no_difference(extras: dict[str, Any], data: st.DataObject) -> None:
    request = body("chat", "Grüße 🐦", temperature=0.5, **extras)
    written = Written(data).value(request).encode()
    assert key(call("chat", written)) == key(call("chat", request))


def canonical(value: object) -> object:
    """JSON's own notion of equality, in which 1 and 1.0 are one number but true is none."""
    if isinstance(value, dict):
        return ("object", frozenset((name, canonical(each)) for name, each in value.items()))
    if isinstance(value, list):
        return ("list", tuple(map(canonical, value)))
    return ("number", value) if isinstance(value, int | float) and not isinstance(value, bool) else ("other", value)


@given(one=EXTRAS, other=EXTRAS)
def test_any_difference_in_meaning_makes_one(one: dict[str, Any], other: dict[str, Any]) -> None:
    same = key(call("chat", body("chat", **one))) == key(call("chat", body("chat", **other)))
    assert same == (canonical(one) == canonical(other))


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize(
    "change",
    [{"text": "Hello!"}, {"text": "hello"}, {"temperature": 0.1}, {"seed": 1}, {"top_p": 1}, {"x_unknown": None}],
)
def test_what_may_influence_the_answer_counts(api: str, change: dict[str, Any]) -> None:
    assert key(call(api, body(api, **change)), api) != key(call(api, body(api)), api)


@pytest.mark.parametrize("api", ["chat", "completions", "anthropic", "gemini"])
def test_whom_the_answer_is_for_does_not(api: str) -> None:
    plain = key(call(api, body(api)), api)
    unseen: dict[str, Any] = {"user": "u", "metadata": {"a": "b"}, "prompt_cache_key": "p", "labels": {"a": "b"}}
    for name, value in unseen.items():
        assert key(call(api, body(api, **{name: value})), api) == plain


def test_the_responses_api_shows_whom_it_is_for() -> None:
    tagged = call("responses", body("responses", metadata={"a": "b"}))
    assert key(tagged, "responses") != key(call("responses", body("responses")), "responses")


def test_nothing_is_shared_across_places() -> None:
    asked = call("chat", body("chat"))
    keys = {
        key(asked),
        key(asked, model="other"),
        key(asked, tenant="other"),
        key(asked, secret=b"x" * 32),
        key(call("chat", body("chat"), stream=True)),
        key(call("chat", body("chat", stream_options={"include_usage": True}), stream=True)),
        key(call("chat", body("chat", drop_params=True))),
        key(call("anthropic", body("anthropic")), "anthropic"),
        key(call("gemini", body("gemini")), "gemini"),
        key(call("gemini", body("gemini"), stream=True), "gemini"),
        key(GEMINI.decode(json.dumps(body("gemini")).encode(), {}, "m:streamGenerateContent"), "gemini"),
    }
    assert len(keys) == 11


def test_the_name_that_was_asked_for_does_not_count_but_what_it_resolves_to() -> None:
    assert key(call("chat", body("chat", model="alias"))) == key(call("chat", body("chat")))


def test_who_may_answer_counts() -> None:
    asked = call("chat", body("chat"))
    some = question(asked, APIS["chat"], "m", "t", SECRET, Raw(b'{"only": ["a"], "zdr": true}'))
    same = question(asked, APIS["chat"], "m", "t", SECRET, Raw(b'{"zdr":true,"only":["a"]}'))
    assert some == same
    assert some is not None
    assert some.key != key(asked)


@pytest.mark.parametrize(
    ("api", "fields"),
    [
        ("chat", {"web_search_options": {}}),
        ("chat", {"store": True}),
        ("chat", {"plugins": [{"id": "web"}]}),
        ("chat", {"tools": [{"type": "web_search"}]}),
        ("responses", {"store": None}),
        ("responses", {"store": True}),
        ("responses", {"prompt": {"id": "pmpt_1"}}),
        ("responses", {"tools": [{"type": "web_search"}]}),
        ("responses", {"tools": [{"type": "function", "name": "f"}, {"type": "mcp", "server_label": "s"}]}),
        ("anthropic", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        ("anthropic", {"mcp_servers": [{"type": "url", "url": "https://example.com", "name": "s"}]}),
        ("gemini", {"tools": [{"googleSearch": {}}]}),
        ("gemini", {"tools": [{"functionDeclarations": [{"name": "f"}]}, {"codeExecution": {}}]}),
    ],
)
def test_what_has_the_provider_act_is_asked_anew(api: str, fields: dict[str, Any]) -> None:
    assert question(call(api, body(api, **fields)), APIS[api], "m", "t", SECRET) is None


@pytest.mark.parametrize(
    ("api", "tool"),
    [
        ("chat", {"type": "function", "function": {"name": "f"}}),
        ("responses", {"type": "function", "name": "f"}),
        ("anthropic", {"name": "f", "input_schema": {"type": "object"}}),
        ("gemini", {"function_declarations": [{"name": "f"}]}),
    ],
)
def test_the_clients_own_tools_are_part_of_the_question(api: str, tool: dict[str, Any]) -> None:
    assert key(call(api, body(api, tools=[tool])), api) != key(call(api, body(api)), api)


def test_a_number_that_no_number_can_hold_is_not_compared() -> None:
    asked = call("chat", b'{"model":"m","messages":[{"role":"user","content":"a"}],"x":1e400}')
    assert question(asked, APIS["chat"], "m", "t", SECRET) is None


def asked_in_words(api: str, text: str, **fields: object) -> Question:
    found = question(call(api, body(api, text, **fields)), APIS[api], "m", "t", SECRET)
    assert found is not None
    return found


@pytest.mark.parametrize("api", APIS)
def test_questions_that_differ_in_their_words_alone_share_the_rest(api: str) -> None:
    one, other = asked_in_words(api, "How are you?"), asked_in_words(api, "How do you do?")
    assert (one.said, other.said) == ("How are you?", "How do you do?")
    assert one.rest == other.rest != b""
    assert one.key != other.key
    assert asked_in_words(api, "How are you?", temperature=0.3).rest != one.rest


@pytest.mark.parametrize(
    "messages",
    [
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
        [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
        [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a"}}]}],
        [{"role": "user", "content": "long " * 1000}],
        [{"role": "user", "content": ""}],
    ],
)
def test_what_is_no_short_text_of_the_users_is_compared_exactly(messages: list[Any]) -> None:
    found = question(call("chat", {"model": "m", "messages": messages}), APIS["chat"], "m", "t", SECRET)
    assert found is not None
    assert (found.rest, found.said) == (b"", "")


def test_what_was_said_before_is_part_of_the_rest() -> None:
    def rest(first: str) -> bytes:
        said = [{"role": "system", "content": first}, {"role": "user", "content": "a"}]
        found = question(call("chat", {"model": "m", "messages": said}), APIS["chat"], "m", "t", SECRET)
        assert found is not None
        return found.rest

    assert rest("Be brief.") != rest("Be kind.")


@pytest.mark.parametrize(
    ("api", "fields", "limited"),
    [
        ("chat", {}, False),
        ("chat", {"max_tokens": 5}, True),
        ("chat", {"max_tokens": None}, False),
        ("chat", {"max_completion_tokens": 5}, True),
        ("anthropic", {}, True),
        ("responses", {"max_output_tokens": 5}, True),
        ("gemini", {"generationConfig": {"temperature": 1}}, False),
        ("gemini", {"generation_config": {"max_output_tokens": 5}}, True),
    ],
)
def test_who_limits_the_length(api: str, fields: dict[str, Any], limited: bool) -> None:
    assert limits_length(call(api, body(api, **fields)).fields) is limited


def test_who_else_may_answer_makes_a_difference() -> None:
    """With `sort` across models, say, it may be another model that answers in the first place."""
    keys = {key(call("chat", body("chat", models=others))) for others in ([], ["other"], ["third"], ["other", "third"])}
    assert len(keys) == 4
