"""Values that llama.cpp would take without asking, and what a client is told of them."""

import pytest
from msgspec import Raw

from tests.providers.test_llamacpp import chat, completion, sent
from tests.providers.test_llamacpp_dialect import HI
from weebill.apis.anthropic.api import ANTHROPIC
from weebill.providers.base import Target
from weebill.providers.fit import Fit
from weebill.providers.llamacpp.bounds import BOUNDS, OutOfBoundsError
from weebill.providers.llamacpp.dialect import LLAMACPP_DIALECT
from weebill.providers.llamacpp.fields import CHAT, COMPLETION
from weebill.providers.llamacpp.relay import LLAMACPP_RELAY
from weebill.wire.call import Call
from weebill.wire.conversation import Conversation, Text, Turn
from weebill.wire.errors import ApiError
from weebill.wire.failure import UpstreamFailure

TARGET = Target(model="m")
# Checked for what they are about, or not a value that the engine reads.
ELSEWHERE = {
    *("model", "stream", "stream_options", "messages", "tools", "tool_choice", "parallel_tool_calls"),
    *("response_format", "keep_alive"),
}

WRONG: list[tuple[str, object]] = [
    ("repeat_last_n", 2**30),
    ("repeat_last_n", -2),
    ("dry_penalty_last_n", 10**12),
    ("dry_sequence_breakers", ["x" * 41]),
    ("dry_sequence_breakers", [str(n) for n in range(17)]),
    ("dry_sequence_breakers", "\n"),
    ("logit_bias", {str(token): 1 for token in range(1025)}),
    ("logit_bias", {"5": 101}),
    ("logit_bias", {"x" * 100_000: 1}),
    ("logit_bias", [[5, 1, 2]]),
    ("logit_bias", [[-1, 1]]),
    ("logit_bias", 3),
    ("n_probs", 10**6),
    ("n_probs", True),
    ("top_logprobs", 50_000),
    ("n_predict", "5"),
    ("n_predict", 2**60),
    ("top_k", 2**40),
    ("repeat_last_n", 1.5),
    ("min_p", "0.1"),
    ("typical_p", -1),
    ("repeat_penalty", 0),
    ("repetition_penalty", -1e30),
    ("mirostat", 3),
    ("samplers", ["top_k"] * 33),
    ("samplers", {"top_k": 1}),
    ("ignore_eos", 1),
    ("t_max_predict_ms", -(10**20)),
    ("n_indent", 10**9),
    ("chat_template_kwargs", {str(n): 1 for n in range(65)}),
    ("chat_template_kwargs", {"a": "x" * 70_000}),
    ("reasoning_budget_message", "x" * 4001),
    ("grammar", "x" * 16_001),
    ("stop", ["x"] * 65),
    ("seed", 2**64),
]


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}-{n}" for n, (name, _) in enumerate(WRONG)])
def test_a_value_out_of_its_bounds_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(OutOfBoundsError) as caught:
        sent(**{name: value})
    assert (caught.value.status, caught.value.detail.param, caught.value.detail.code) == (400, name, "invalid_value")
    assert f"'{name}'" in caught.value.detail.message


@pytest.mark.parametrize("name", sorted(BOUNDS.keys() & {"min_p", "temperature", "dry_base", "mirostat_tau", "top_p"}))
@pytest.mark.parametrize("value", [b"1e308", b"-1e308", b'"nan"', b"[1]"])
def test_a_number_is_one_and_finite(name: str, value: bytes) -> None:
    call = completion()
    call = call.replaced(fields={**call.fields, name: Raw(value)})
    with pytest.raises(OutOfBoundsError) as caught:
        LLAMACPP_RELAY.encode(call, TARGET)
    assert caught.value.detail.param == name


@pytest.mark.parametrize(
    "fields",
    [
        {"logit_bias": {"5": -100, "6": 100.0}, "top_k": 40.0, "min_p": 0.05, "repeat_last_n": -1},
        {"logit_bias": [[5, False], ["Hello", -1]], "samplers": "kmt", "n_probs": 5, "seed": -1},
        {"dry_sequence_breakers": ["\n", ":"], "dry_penalty_last_n": 64, "ignore_eos": True, "mirostat": None},
        {"chat_template_kwargs": {"enable_thinking": False}, "cache_prompt": False, "temperature": 0},
    ],
)
def test_what_clients_send_on_purpose_goes_along(fields: dict[str, object]) -> None:
    assert fields.items() <= sent(**fields).items()


def test_many_prompts_are_refused_and_many_tokens_are_not() -> None:
    LLAMACPP_RELAY.encode(completion(prompt=[1] * 2000), TARGET)
    with pytest.raises(OutOfBoundsError):
        LLAMACPP_RELAY.encode(completion(prompt=["a"] * 129), TARGET)


def test_every_field_that_the_engine_reads_has_a_bound() -> None:
    assert BOUNDS.keys() >= (CHAT | COMPLETION) - ELSEWHERE


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ({"n_predict": 5000, "max_tokens": 5}, 5),
        ({"n_predict": -1, "max_tokens": 5, "ignore_eos": True}, 5),
        ({"n_predict": 7, "max_tokens": 50, "max_completion_tokens": 60}, 7),
    ],
)
def test_the_least_length_asked_for_holds(fields: dict[str, object], length: int) -> None:
    body = sent(**fields)
    assert {value for name, value in body.items() if name in {"n_predict", "max_tokens", "max_completion_tokens"}} == {
        length
    }


def test_other_apis_are_told_too() -> None:
    asked = Conversation(turns=HI, extra={"repeat_last_n": Raw(b"1000000000")})
    with pytest.raises(ApiError) as caught:
        LLAMACPP_DIALECT.encode(asked, TARGET, Fit(), stream=True)
    assert caught.value.detail.param == "repeat_last_n"
    assert b"repeat_last_n" in ANTHROPIC.error_body(caught.value)


# 64 bytes for each of its tokens are more than any real text has.
SMALL = Target(model="m", max_output_tokens=1000)
TOO_LONG = [
    (chat(messages=[{"role": "user", "content": "(a, b) " * 10_000}]), "messages"),
    (chat(tools=[{"type": "function", "function": {"name": "f", "description": "x" * 70_000}}]), "messages"),
    (completion(prompt="x" * 70_000), "prompt"),
    (completion(prompt=["x" * 5_000_000]), "prompt"),
]


@pytest.mark.parametrize(("call", "param"), TOO_LONG)
def test_a_prompt_far_beyond_the_window_never_gets_to_the_engine(call: Call, param: str) -> None:
    with pytest.raises(UpstreamFailure, match="far more than the 1,000 tokens that the model reads") as caught:
        LLAMACPP_RELAY.encode(call, SMALL)
    # As the engine would say it: another model may be asked.
    assert (caught.value.failure.kind, caught.value.failure.status) == ("context_length", 400)
    assert caught.value.param == param


def test_a_prompt_that_may_fit_is_the_engines_to_count() -> None:
    LLAMACPP_RELAY.encode(chat(messages=[{"role": "user", "content": "x" * 60_000}]), SMALL)
    LLAMACPP_RELAY.encode(completion(prompt=["x" * 60_000] * 20), SMALL)
    LLAMACPP_RELAY.encode(chat(messages=[{"role": "user", "content": "x" * 1_000_000}]), TARGET)


def test_other_apis_are_told_so_too() -> None:
    asked = Conversation(turns=(Turn("user", (Text("x" * 70_000),)),))
    with pytest.raises(UpstreamFailure) as caught:
        LLAMACPP_DIALECT.encode(asked, SMALL, Fit(), stream=True)
    assert caught.value.param == "turns"


@pytest.mark.parametrize(("slots", "choices"), [(4, 4), (0, 128), (1, None), (2, 2.0)])
def test_as_many_answers_as_there_are_slots(slots: int, choices: float | None) -> None:
    assert LLAMACPP_RELAY.encode(chat(n=choices), Target(model="m", slots=slots)).body


@pytest.mark.parametrize(("slots", "choices"), [(4, 5), (1, 2), (2, 128)])
def test_more_answers_than_slots_are_refused_at_once(slots: int, choices: int) -> None:
    with pytest.raises(ApiError, match=f"Invalid 'n': it must be at most {slots}, as many") as caught:
        LLAMACPP_RELAY.encode(chat(n=choices), Target(model="m", slots=slots))
    assert (caught.value.status, caught.value.detail.param) == (400, "n")
