"""Requests as the gateway sends them, and what becomes of each field."""

import msgspec
import pytest

from weebill.engine.defaults import defaults_of
from weebill.engine.openvino.chunks import Said, Writer
from weebill.engine.openvino.library import blocks_of, settings_of
from weebill.engine.openvino.request import CHAT, COMPLETIONS, wanted
from weebill.engine.openvino.text import Delta
from weebill.engine.role import HostSettings
from weebill.engine.serving.jobs import RefusedError
from weebill.models.curated import Sampling
from weebill.models.engine_choice import unserved
from weebill.providers.base import Target
from weebill.providers.llamacpp.relay import LLAMACPP_RELAY
from weebill.wire.body import decode_chat

HI = [{"role": "user", "content": "Hi"}]
SAMPLING = Sampling(temperature=0.2, top_k=9, stop=("END",), most_tokens=70, seed=5)
FORM = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}}}}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def asked(path: str = CHAT, **fields: object):
    given = {"messages": HI} if path == CHAT else {}
    return wanted(path, msgspec.json.encode({**given, **fields}))


def test_the_models_own_settings_and_what_a_request_says_otherwise():
    own = asked(**defaults_of(SAMPLING, "openvino"))
    assert (own.choice.temperature, own.choice.top_k, own.choice.seed) == (0.2, 9, 5)
    assert (own.stop, own.most_tokens, own.count, own.streams) == (("END",), 70, 1, False)
    told = asked(
        temperature=0.7, top_k=-1, top_p=0.5, min_p=0.1, repeat_penalty=1.2, seed=-1, stop="x", max_tokens=9, n=2
    )
    assert asked().choice.temperature == 0.8
    assert told.choice == msgspec.structs.replace(
        own.choice, temperature=0.7, top_k=0, top_p=0.5, min_p=0.1, repetition_penalty=1.2, seed=None
    )
    assert (told.stop, told.most_tokens, told.count) == (("x",), 9, 2)
    assert asked(max_tokens=-1).most_tokens is None
    assert asked(n_predict=5, max_tokens=7.0).most_tokens == 5


@pytest.mark.parametrize(
    "fields",
    [
        {"dry_multiplier": 0, "dry_base": 1.75, "logit_bias": {}, "typical_p": 1.0, "mirostat": 0, "n_probs": 0},
        {"temperature": None, "top_logprobs": 0, "timings_per_token": False, "reasoning_format": "none"},
        {"cache_prompt": True, "stream_options": {"include_usage": True}, "model": "m", "return_progress": True},
    ],
)
def test_what_asks_for_nothing_is_passed_over(fields):
    assert asked(**fields).is_chat


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        ("dry_multiplier", {"dry_multiplier": 0.5}),
        ("logit_bias", {"logit_bias": {"5": 1}}),
        ("top_logprobs", {"logprobs": True, "top_logprobs": 3}),
        ("typical_p", {"typical_p": 0.5}),
        ("mirostat", {"mirostat": 2}),
        ("samplers", {"samplers": ["top_k"]}),
        ("grammar", {"grammar": 'root ::= "a"'}),
        ("presence_penalty", {"presence_penalty": 3}),
        ("temperature", {"temperature": "hot"}),
        ("n", {"n": 0}),
        ("messages", {"messages": []}),
        ("response_format", {"response_format": {"type": "json_schema", "json_schema": {"schema": {"not": {}}}}}),
        ("something_new", {"something_new": 1}),
    ],
)
def test_what_the_engine_cannot_do_is_refused_by_its_name(field, fields):
    with pytest.raises(RefusedError) as caught:
        asked(**fields)
    assert (caught.value.status, caught.value.param) == (400, field)
    call = decode_chat(msgspec.json.encode({"model": "m", "messages": HI}))
    failure = LLAMACPP_RELAY.error(call, 400, caught.value.body(), None, "local")
    assert (failure.failure.kind, failure.param) == ("invalid_request", field)


@pytest.mark.parametrize(
    ("lacking", "served"),
    [
        ({"dry": 0.8}, {"dry_window": 9}),
        ({"typical_p": 0.9}, {"presence_penalty": -2.0, "frequency_penalty": 2.0}),
        ({"penalty_window": 9}, {"repetition_penalty": 1.2}),
        ({"penalty_window": 0}, {}),
        ({"presence_penalty": 2.5}, {"frequency_penalty": -1.0}),
        ({"frequency_penalty": -3.0}, {"penalty_window": -1}),
    ],
)
def test_a_models_settings_that_the_engine_lacks_are_told_and_not_sent(lacking, served):
    sampling = Sampling(temperature=0.2, **lacking, **served)
    assert set(unserved("openvino", sampling)) == lacking.keys()
    assert defaults_of(sampling, "openvino") == defaults_of(Sampling(temperature=0.2, **served))
    assert asked(**defaults_of(sampling, "openvino")).choice.temperature == 0.2
    with pytest.raises(RefusedError):
        asked(**defaults_of(sampling))
    assert not unserved("llama-server", sampling)


@pytest.mark.parametrize("body", [b"[", b"[1]", b'"x"', b'{"messages": [{"content": "\xff"}]}', b"[" * 100_000])
def test_a_body_that_is_none_is_refused(body):
    with pytest.raises(RefusedError):
        wanted(CHAT, body)


@pytest.mark.parametrize(
    ("fields", "begins"),
    [
        ({"response_format": FORM}, "root ::= "),
        ({"tools": [TOOL], "tool_choice": "required"}, "root ::= "),
        ({"tools": [TOOL], "response_format": FORM}, "root ::= "),
        ({"json_schema": {"type": "array", "items": {"type": "integer"}}}, "root ::= "),
        ({"response_format": {"type": "json_object"}}, "root ::= "),
        ({"tools": [TOOL]}, ""),
        ({}, ""),
    ],
)
def test_what_the_gateway_binds_an_answer_to_is_a_grammar_here(fields, begins):
    call = decode_chat(msgspec.json.encode({"model": "m", "messages": HI, **fields}))
    body = LLAMACPP_RELAY.encode(call, Target(model="m")).body
    found = wanted(CHAT, body)
    assert found.grammar[: len("root ::= ")] == begins
    assert found.streams
    assert len(found.tools) == ("tools" in fields)
    if fields.keys() == {"tools", "response_format"}:
        assert "<tool_call>" in found.grammar


def test_texts_that_are_to_go_on():
    assert asked(COMPLETIONS, prompt="Once").prompts == ("Once",)
    assert asked(COMPLETIONS, prompt=[1, 2]).prompts == ([1, 2],)
    assert asked(COMPLETIONS, prompt=["a", "b"]).prompts == ("a", "b")
    for wrong in ("", [], ["a", 1], {"a": 1}, None):
        with pytest.raises(RefusedError) as caught:
            asked(COMPLETIONS, prompt=wrong)
        assert caught.value.param == "prompt"


def test_the_librarys_values_for_a_choice():
    choice = asked(temperature=0.7, top_k=0, top_p=0, min_p=1, seed=2**64 - 1).choice
    found = settings_of(choice, 1)
    assert (found["rng_seed"], found["top_k"], found["do_sample"]) == (0, 2**64 - 1, True)
    assert 0 < found["top_p"] < 1e-5
    assert 0.99 < found["min_p"] < 1
    assert settings_of(asked(temperature=0).choice, 0)["do_sample"] is False
    assert settings_of(asked(seed=-1).choice, 0)["rng_seed"] != settings_of(asked(seed=-1).choice, 0)["rng_seed"]


def test_each_answer_has_its_context():
    assert blocks_of(HostSettings(context=2048, parallel=4)) * 32 >= 4 * 2048


def test_the_gateway_reads_what_is_written():
    call = decode_chat(msgspec.json.encode({"model": "m", "messages": HI, "stop": ["x"], "n": 2}))
    sent = LLAMACPP_RELAY.encode(call, Target(model="m"))
    found = wanted(CHAT, sent.body)
    writer = Writer(found, "1", "m", 7)
    events = [
        *(writer.first(index) for index in range(2)),
        writer.piece(0, Delta("Yes", "Hm"), None),
        writer.piece(1, Delta("No"), None),
        writer.last(0, "stop", "x"),
        writer.last(1, "length", None),
        writer.usage(9, 4),
        b"[DONE]",
    ]
    collector = LLAMACPP_RELAY.collect(call, sent)
    for event in events:
        collector.feed(b"data: " + event + b"\n\n")
    answer = collector.finish()
    choices = msgspec.json.decode(answer.body)["choices"]
    assert [each["message"]["content"] for each in choices] == ["Yes", "No"]
    assert [(each["finish_reason"], each.get("stop_reason")) for each in choices] == [("stop", "x"), ("length", None)]
    assert choices[0]["message"]["reasoning_content"] == "Hm"
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 4)
    whole = msgspec.json.decode(writer.whole([Said("Yes", "Hm", tokens=3), Said("No", tokens=1)], 9))
    assert whole["usage"]["total_tokens"] == 13
