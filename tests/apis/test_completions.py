"""Completions as an inbound API."""

import itertools
import json

import pytest
from msgspec import Raw
from openai.types import Completion

from tests.apis.chat import END, ENTRY, START, USAGE, USER, call, chunks, reply
from weebill.apis.completions import COMPLETIONS
from weebill.wire.conversation import Conversation, Reasoning, Text
from weebill.wire.errors import ApiError
from weebill.wire.reply import Choice, Event, Finished, Logprobs, ReasoningDelta, TextDelta

OLD: list[tuple[dict[str, object], Conversation]] = [
    ({"prompt": "Hi"}, Conversation(turns=(USER,))),
    ({"prompt": ["Hi"], "echo": False, "best_of": 1, "suffix": ""}, Conversation(turns=(USER,))),
    (
        {"prompt": "Hi", "max_tokens": 9, "logprobs": 2, "stop": "a", "user": "ada", "n": 1},
        Conversation(
            turns=(USER,), max_tokens=9, logprobs=True, top_logprobs=2, stop=("a",), hints={"user": Raw(b'"ada"')}
        ),
    ),
    ({"prompt": "Hi", "echo": True}, Conversation(turns=(USER,), extra={"echo": Raw(b"true")})),
]


@pytest.mark.parametrize(("given", "meant"), OLD)
def test_completions(given: dict[str, object], meant: Conversation) -> None:
    assert COMPLETIONS.conversation(call(COMPLETIONS, **given)) == meant


@pytest.mark.parametrize("prompt", [["a", "b"], [1, 2], [[1], [2]], []])
def test_prompts_that_are_no_text(prompt: object) -> None:
    with pytest.raises(ApiError) as caught:
        COMPLETIONS.conversation(call(COMPLETIONS, prompt=prompt))
    assert (caught.value.status, caught.value.detail.param) == (400, "prompt")


OLD_CALL = call(COMPLETIONS, prompt="Hi", stream_options={"include_usage": True})
OLD_LOGPROBS = {"tokens": ["Hi"], "token_logprobs": [-0.5], "top_logprobs": [{"Hi": -0.5}], "text_offset": [0]}


def test_completions_answer() -> None:
    body = COMPLETIONS.answer(OLD_CALL, reply(Choice((Reasoning("Hm."), Text("Hi")), "stop", None, (ENTRY,))))
    Completion.model_validate_json(body)
    assert json.loads(body) | {"id": "cmpl-1"} == {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 5,
        "model": "m1",
        "choices": [{"text": "Hi", "index": 0, "logprobs": OLD_LOGPROBS, "finish_reason": "stop"}],
        "usage": USAGE,
    }


def test_completions_stream() -> None:
    events: list[Event] = [START, ReasoningDelta("Hm."), TextDelta("Hi", 1), Logprobs((ENTRY,)), Logprobs((ENTRY,))]
    choices, usages = chunks(COMPLETIONS, OLD_CALL, [*events, Finished("length"), END], 2)
    assert choices == [
        {"text": "Hi", "index": 0, "logprobs": None, "finish_reason": None},
        {"text": "", "index": 0, "logprobs": OLD_LOGPROBS, "finish_reason": None},
        {"text": "", "index": 0, "logprobs": {**OLD_LOGPROBS, "text_offset": [2]}, "finish_reason": None},
        {"text": "", "index": 0, "logprobs": None, "finish_reason": "length"},
    ]
    assert usages == [*itertools.repeat(None, 4), USAGE]
