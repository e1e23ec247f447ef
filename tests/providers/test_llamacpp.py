"""llama.cpp's quirks: what is refused, and what an answer is bound to."""

import json

import pytest
from msgspec import Raw

from tests.providers.llamacpp import PARAMETERS, TIME, TRANSLATOR, WEATHER, chat, completion, sent
from weebill.catalog.traits import Traits
from weebill.models.templating import BEGINNING
from weebill.providers.base import Target
from weebill.wire.call import Call
from weebill.wire.errors import ApiError


def test_what_needs_no_help_passes_as_it_came() -> None:
    assert sent(temperature=0.5, min_p=0.1, cache_prompt=False, grammar='root ::= "a"') == {
        "model": "smollm2:135m",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "min_p": 0.1,
        "cache_prompt": False,
        "grammar": 'root ::= "a"',
        # It notices that a client has left only while it streams, and while it reads, by what it then says.
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_progress": True,
    }


SOUND = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}}]}]
IMAGE = [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]}]
REFUSED = [
    (chat(messages=IMAGE), "messages[0].content[1].type"),
    (chat(tools=[{"type": "web_search"}], tool_choice={"type": "web_search"}), "tool_choice"),
    (chat(tool_choice="required"), "tool_choice"),
    (chat(response_format={"type": "xml"}), "response_format"),
    (chat(grammar='root ::= "a"', json_schema={"type": "object"}), "grammar"),
    (chat(json_schema={"type": "object"}, response_format={"type": "json_object"}), "json_schema"),
    (chat(grammar='root ::= "a"', tools=[WEATHER], tool_choice="required"), "grammar"),
    (chat(audio={"voice": "v", "format": "mp3"}), "audio"),
    (chat(tools=[WEATHER], tool_choice={"type": "function", "function": {"name": "other"}}), "tool_choice"),
    (chat(tools=[WEATHER], tool_choice={"type": "custom"}), "tool_choice"),
    (chat(tools=[WEATHER], logprobs=True), "logprobs"),
    (completion(echo=True), "echo"),
    (completion(best_of=3), "best_of"),
    (completion(suffix="end"), "suffix"),
    (completion(response_format={"type": "json_object"}), "response_format"),
]


@pytest.mark.parametrize(("call", "param"), REFUSED)
def test_what_would_be_ignored_is_refused(call: Call, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        TRANSLATOR.encode(call, Target(model="m"))
    assert (caught.value.status, caught.value.detail.param) == (400, param)


HINTS: list[tuple[dict[str, object], dict[str, object], tuple[str, ...]]] = [
    ({"web_search_options": {}, "prediction": {"x": 1}}, {}, ("prediction", "web_search_options")),
    ({"tools": [{"type": "web_search"}], "tool_choice": "auto"}, {}, ("tools[0]",)),
    ({"tools": [WEATHER, {"type": "custom", "custom": {"name": "x"}}]}, {"tools": [WEATHER]}, ("tools[1]",)),
    ({"tools": [{"function": WEATHER["function"]}]}, {"tools": [WEATHER]}, ()),
    ({"max_tokens": 32000, "reasoning_effort": "high"}, {"max_tokens": 506}, ("max_tokens", "reasoning_effort")),
    ({"max_completion_tokens": 507}, {"max_completion_tokens": 506}, ("max_completion_tokens",)),
    ({"n_predict": 10**12, "max_tokens": 506}, {"n_predict": 506, "max_tokens": 506}, ("n_predict",)),
    ({"max_tokens": -1, "max_completion_tokens": 0, "n_predict": -7}, {}, ()),
    # What llama.cpp passes over itself, unless it says nothing.
    (
        {"store": True, "metadata": {"a": "b"}, "user": "u", "service_tier": "flex", "verbosity": "low", "x_new": 0},
        {},
        ("store", "metadata", "user", "service_tier", "verbosity", "x_new"),
    ),
    ({"store": False, "metadata": {}, "user": None, "safety_identifier": "", "modalities": ["text"]}, {}, ()),
    ({"prompt_cache_key": "k", "safety_identifier": "s"}, {}, ("prompt_cache_key", "safety_identifier")),
    # Its own, and those by which its parts talk to each other.
    (
        {"repeat_penalty": 1.1, "top_k": 5, "samplers": ["top_k"]},
        {"repeat_penalty": 1.1, "top_k": 5, "samplers": ["top_k"]},
        (),
    ),
    (
        {"chat_format": 1, "id_slot": 3, "verbose": True, "n_cmpl": 2},
        {},
        ("chat_format", "id_slot", "verbose", "n_cmpl"),
    ),
    # What is empty, and would be answered with an error or with nothing.
    ({"stop": "", "top_logprobs": 0, "response_format": {"type": None}}, {}, ()),
    ({"grammar": "", "json_schema": None, "functions": [], "verbosity": None}, {}, ()),
    (
        {"stop": ["", "x"]},
        {"stop": ["x"], "verbose": True, "response_fields": ["stopping_word"]},
        (),
    ),
]


@pytest.mark.parametrize(("fields", "meant", "dropped"), HINTS)
def test_hints_are_passed_over_and_named(
    fields: dict[str, object], meant: dict[str, object], dropped: tuple[str, ...]
) -> None:
    target = Target(model="m", traits=Traits(reasoning=False), max_output_tokens=512)
    request = TRANSLATOR.encode(chat(**fields), target)
    body = json.loads(request.body)
    kept = {
        name: value
        for name, value in body.items()
        if name not in ("model", "messages", "stream", "stream_options", "return_progress")
    }
    assert (kept, sorted(request.dropped)) == (meant, sorted(dropped))


def test_hints_are_refused_where_all_is_to_be() -> None:
    target = Target(model="m", on_unsupported="refuse")
    for fields in ({"store": True}, {"x_new": 1}, {"verbosity": "low"}):
        with pytest.raises(ApiError) as caught:
            TRANSLATOR.encode(chat(**fields), target)
        assert (caught.value.status, caught.value.detail.param) == (400, next(iter(fields)))
    assert TRANSLATOR.encode(chat(store=False, min_p=0.1), target).dropped == ()


def test_messages_are_as_its_template_reads_them() -> None:
    messages = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": [{"text": "Hi"}]}]
    assert sent(messages=messages)["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"text": "Hi", "type": "text"}]},
    ]


OTHERWISE = [
    {"functions": [{"name": "f"}]},
    {"parallel_tool_calls": False, "tools": [WEATHER]},
    {"tools": [{"type": "custom", "custom": {"name": "f"}}]},
    {"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}},
    {"messages": [{"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}}]},
    {"messages": [{"role": "assistant", "content": "a", "tool_calls": []}]},
    {"messages": [{"role": "tool", "tool_call_id": "a", "content": "b"}]},
    {"messages": [{"role": "function", "name": "f", "content": "b"}]},
    {"messages": [{"role": "assistant", "refusal": "no"}]},
    {"messages": [{"role": "assistant", "content": [{"type": "thinking", "thinking": []}]}]},
    {"messages": [{"role": "user", "content": [{"type": "input_text", "text": "a"}]}]},
    {"messages": [{"role": "user", "content": ["a"]}]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": None}]}]},
    {"messages": IMAGE},  # it is prepared first
]


@pytest.mark.parametrize("fields", OTHERWISE)
def test_what_it_does_not_read_is_not_relayed(fields: dict[str, object]) -> None:
    assert not TRANSLATOR.takes(chat(**fields), Target(model="m"))


@pytest.mark.parametrize("fields", [{}, {"tools": [WEATHER], "tool_choice": "required"}, {"messages": SOUND}])
def test_what_it_reads_or_nobody_can_is_relayed(fields: dict[str, object]) -> None:
    assert TRANSLATOR.takes(chat(**fields), Target(model="m"))
    assert TRANSLATOR.takes(completion(), Target(model="m"))


def test_what_is_demanded_goes_where_all_may_be_dropped() -> None:
    request = TRANSLATOR.encode(chat(messages=IMAGE, audio={"voice": "v"}, drop_params=True), Target(model="m"))
    body = json.loads(request.body)
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "a"}]}]
    assert request.dropped == ("audio", "messages[0].content[1].type")
    request = TRANSLATOR.encode(
        chat(tools=[WEATHER], logprobs=True, top_logprobs=2, drop_params=True), Target(model="m")
    )  # fmt: skip
    assert not {"logprobs", "top_logprobs"} & json.loads(request.body).keys()
    assert request.dropped == ("logprobs",)


@pytest.mark.parametrize("fields", [{"echo": False}, {"best_of": 1}, {"suffix": None}, {"suffix": ""}])
def test_defaults_are_not_refused(fields: dict[str, object]) -> None:
    TRANSLATOR.encode(completion(**fields), Target(model="m"))


def test_a_schema_becomes_a_grammar() -> None:
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": PARAMETERS, "strict": True}}
    body = sent(response_format=form)
    assert "response_format" not in body
    grammar = str(body["grammar"])
    assert '"city"' in grammar
    assert '"maxLength"' in grammar


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("required", ["get_weather", "get_time"]),
        ({"type": "function", "function": {"name": "get_time"}}, ["get_time"]),
    ],
)
def test_a_forced_call_becomes_a_grammar_for_it(choice: object, names: list[str]) -> None:
    body = sent(tools=[WEATHER, TIME], tool_choice=choice)
    assert body["tool_choice"] == "none"
    assert body["tools"] == [WEATHER, TIME]  # the template shows them
    grammar = str(body["grammar"])
    assert [name for name in ["get_weather", "get_time"] if f'"{name}"' in grammar] == names


def test_tools_that_define_the_same_name_differently_cannot_be_kept_apart() -> None:
    def tool(name: str, definition: object) -> object:
        parameters = {"type": "object", "properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": definition}}
        return {"type": "function", "function": {"name": name, "parameters": parameters}}

    with pytest.raises(ApiError) as caught:
        sent(tools=[tool("a", {"type": "string"}), tool("b", {"type": "integer"})], tool_choice="required")
    assert caught.value.detail.param == "tools"
    sent(tools=[tool("a", {"type": "string"}), tool("b", {"type": "string"})], tool_choice="required")


CREATED = Target(
    model="mini:brief",
    defaults={name: Raw(value) for name, value in (("temperature", b"0.0"), ("max_tokens", b"3"), ("stop", b'["zz"]'))},
    begins=True,
)


def test_a_request_is_given_what_its_model_was_created_with() -> None:
    fields = json.loads(TRANSLATOR.encode(chat(), CREATED).body)
    assert {name: fields[name] for name in ("temperature", "max_tokens", "stop")} == {
        "temperature": 0.0, "max_tokens": 3, "stop": ["zz"],
    }  # fmt: skip
    assert fields["chat_template_kwargs"] == {"weebill_beginning": "mini:brief"}
    # Which of them ended the answer is told of the client's own.
    assert "verbose" not in fields


@pytest.mark.parametrize("length", ["max_tokens", "max_completion_tokens", "n_predict"])
def test_a_requests_own_values_take_precedence(length: str) -> None:
    said = {length: 7, "temperature": 0.5, "stop": "b", "chat_template_kwargs": {"weebill_beginning": "x", "a": 1}}
    fields = json.loads(TRANSLATOR.encode(chat(**said), CREATED).body)
    lengths = [fields.get(each) for each in ("max_tokens", "max_completion_tokens", "n_predict")]
    assert [each for each in lengths if each is not None] == [7]
    assert (fields["temperature"], fields["stop"]) == (0.5, "b")
    assert fields["chat_template_kwargs"] == {"weebill_beginning": "mini:brief", "a": 1}
    # Nobody begins as a model that was not asked.
    assert sent(chat_template_kwargs={"weebill_beginning": "mini:brief"})["chat_template_kwargs"] == {}
    assert json.loads(TRANSLATOR.encode(chat(temperature=None, max_tokens=None), CREATED).body)["max_tokens"] == 3


def test_the_name_of_a_beginning_is_the_templates() -> None:
    assert BEGINNING in TRANSLATOR.encode(chat(), CREATED).body.decode()
