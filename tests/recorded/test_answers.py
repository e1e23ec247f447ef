"""Each recorded answer through each API: whole or streamed, split anywhere, read by the official SDK, and echoed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import pytest

from tests.recorded import Answer, Want, answers
from tests.recorded.known import AS_SENT, known
from tests.recorded.sdks import HELLO, Said, read
from tests.rows import every
from tests.translation.test_noise import APIS
from weebill.gateway.bridge_stream import BridgeStream
from weebill.gateway.translation import translator
from weebill.providers.base import Target
from weebill.providers.registry import relay
from weebill.wire.call import Call
from weebill.wire.conversation import Reasoning, Refusal, Text, ToolUse
from weebill.wire.failure import UpstreamFailure

SPLITS: Final = (1000, 7, 1)
ASKED: Final[dict[str, dict[str, Any]]] = {
    "chat": {"model": "m", "messages": [{"role": "user", "content": HELLO}]},
    "completions": {"model": "m", "prompt": HELLO},
    "responses": {"model": "m", "input": HELLO},
    "anthropic": {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": HELLO}]},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": HELLO}]}]},
}
OPTIONS: Final[dict[str, dict[str, str]]] = {
    "azure": {"api_version": "2026-01-01"},
    "vertex": {"project": "p", "location": "l"},
    "bedrock": {"region": "us-east-1"},
}
# Kinds that others have a place for: calls, and text with citations.
CARRIED: Final = frozenset({"custom", "custom_tool_call", "local_shell_call", "apply_patch_call", "citationsContent"})
# What is said to be missing, where the dialect's own name for it is another.
CALLED: Final = {"inlineData": {"audio"}}
# How the images and sounds of these recordings begin, in base64.
MEDIA: Final = (b"iVBORw0KGgo", b"UklGR")
# The words for a finish, where the answer is not passed on as it came.
FINISHES: Final[dict[str, dict[str, set[str]]]] = {
    "chat": {
        "stop": {"stop"}, "length": {"length"}, "tool_calls": {"tool_calls"}, "content_filter": {"content_filter"},
    },
    "completions": {"stop": {"stop"}, "length": {"length"}, "content_filter": {"content_filter"}},
    "responses": {
        "stop": {"completed"}, "length": {"incomplete"}, "tool_calls": {"completed"}, "content_filter": {"incomplete"},
    },
    "anthropic": {
        "stop": {"end_turn", "stop_sequence"}, "length": {"max_tokens"}, "tool_calls": {"tool_use"},
        "content_filter": {"refusal"},
    },
    "gemini": {"stop": {"STOP"}, "length": {"MAX_TOKENS"}, "tool_calls": {"STOP"}, "content_filter": {"SAFETY"}},
}  # fmt: skip


def call(api: str, body: dict[str, Any] | bytes, *, stream: bool) -> Call:
    if isinstance(body, dict):
        streaming = {"stream": True} if stream else {}
        if stream and api in ("chat", "completions"):
            streaming["stream_options"] = {"include_usage": True}
        body = json.dumps(body | streaming if api != "gemini" else body).encode()
    tail = f"m:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}" if api == "gemini" else ""
    return APIS[api].decode(body, {}, tail)


@dataclass
class Passed:
    """What the client gets, the usage that is recorded, and what is said to have no place in the client's API."""

    body: bytes
    usage: tuple[int, int]
    dropped: set[str]


def passed(api: str, answer: Answer, size: int) -> Passed:
    """The answer in the client's API, given in pieces of `size` bytes if it is a stream."""
    data = answer.data()
    translate = translator(APIS[api], _dialect(answer), frozenset())
    asked = call(api, ASKED[api], stream=answer.streamed)
    sent = translate.encode(asked, target(answer))
    if not answer.streamed:
        decoded = translate.decode(asked, sent, data)
        usage = decoded.usage
        return Passed(decoded.body, (usage.prompt_tokens, usage.completion_tokens), set(decoded.dropped))
    stream = translate.stream(asked, sent)
    out = b""
    for at in range(0, len(data), size):
        out += stream.feed(data[at : at + size])
        if stream.error is not None:
            raise stream.error
    out += stream.finish()
    dropped = set(stream.dropped) if isinstance(stream, BridgeStream) else set()
    return Passed(out, (stream.usage.prompt_tokens, stream.usage.completion_tokens), dropped)


def target(answer: Answer) -> Target:
    return Target(model="m", provider=answer.provider, options=OPTIONS.get(answer.dialect, {}))


def _dialect(answer: Answer) -> str:
    return "openai" if answer.dialect == "completions" else answer.dialect


def apis(answer: Answer) -> list[str]:
    """Completions have words alone, and only they can say a completion."""
    if answer.dialect == "completions":
        return ["completions"]
    plain = not answer.want.calls and not answer.want.also and answer.want.text
    bridged = relay("openai.completions", answer.dialect) is None
    return ["chat", "responses", "anthropic", "gemini", *(["completions"] if plain and bridged else [])]


def check_said(api: str, answer: Answer, said: Said) -> None:
    want = answer.want
    relayed = relay(APIS[api].native, _dialect(answer)) is not None
    check_text(want, said.text, relayed=relayed)
    check_calls(want, said.calls, carried=not relayed or APIS[api].native == "openai.chat")
    if api != "completions":
        assert said.reasoning == want.reasoning
    if want.finish is not None:
        assert said.finish
    if not relayed:
        assert said.finish in FINISHES[api].get(want.finish or "stop", {said.finish})


def check_text(want: Want, text: str, *, relayed: bool) -> None:
    """The words; what has no other place may be told in words between and after them."""
    if relayed or not (want.refusal or want.also):
        assert text == want.text
    elif want.refusal:
        assert text in (want.text, want.text + want.refusal)
    else:
        told = iter(_words(text))
        assert all(letter in told for letter in _words(want.text))


def check_calls(want: Want, calls: list[tuple[str, object]], *, carried: bool = True) -> None:
    left = list(calls)
    for name, asked in want.carried if carried else ():
        [found] = [call for call in left if call[0] == name]
        assert json.dumps(asked)[1:-1] in json.dumps(found[1])
        left.remove(found)
    assert left == [(name, arguments) for name, arguments in want.calls]


def _without_namespace(want: Want, name: str) -> str:
    """A tool by its own name: to the next model, it and its namespace are one name."""
    return next((own for own, _ in want.calls if name.endswith(f"__{own}")), name)


def _words(text: str) -> str:
    return "".join(text.split())


def check_rest(api: str, answer: Answer, got: Passed) -> None:
    """What is not words, reasoning or calls is there, or is said not to be."""
    if relay(APIS[api].native, _dialect(answer)) is not None:
        return
    for kind in set(answer.want.also) - CARRIED:
        assert got.dropped & {kind, *CALLED.get(kind, ())} or any(piece in got.body for piece in MEDIA)


def check_echo(api: str, answer: Answer, said: Said) -> None:
    """The next turn, as the SDK sends it, is the same conversation, and gives the provider back what it wants back."""
    want = answer.want
    again = call(api, said.next, stream=False)
    turns = APIS[api].conversation(again).turns
    parts = [part for turn in turns if turn.role == "assistant" for part in turn.parts]
    text = "".join(part.text for part in parts if isinstance(part, Text | Refusal))
    check_text(want, text, relayed=False)
    calls = [part for part in parts if isinstance(part, ToolUse)]
    check_calls(want, [(_without_namespace(want, part.name), json.loads(part.arguments)) for part in calls])
    assert "".join(part.text for part in parts if isinstance(part, Reasoning)) == want.reasoning
    body = translator(APIS[api], answer.dialect, frozenset()).encode(again, target(answer)).body.decode()
    assert [piece for piece in want.opaque if piece not in body] == []


def is_asked(name: str, api: str, *, failing: bool) -> bool:
    """Tells whether an answer is given in an API, to the test of those that fail or to that of all others."""
    answer = answers()[name]
    return api in apis(answer) and bool(answer.want.error) is failing and (name, api) not in AS_SENT


@pytest.mark.parametrize("splits", [1, pytest.param(len(ASKED), marks=pytest.mark.slow)])
@pytest.mark.parametrize("api", ASKED)
@every("name", [*answers()])
def test_an_answer(name: str, api: str, splits: int) -> None:
    """The same whatever the pieces that it came in; in the next turn it is the same conversation.

    An answer is split in `splits` of the APIs: each of them in turn, or all of them.
    """
    if is_asked(name, api, failing=False):
        turn = ([*answers()].index(name) + [*ASKED].index(api)) % len(ASKED)
        with known(name, api):
            check_answer(api, answers()[name], SPLITS if turn < splits else SPLITS[:1])


def check_answer(api: str, answer: Answer, splits: tuple[int, ...]) -> None:
    first, body = None, None
    for size in splits if answer.streamed else SPLITS[:1]:
        got = passed(api, answer, size)
        if answer.want.usage is not None:
            assert got.usage == answer.want.usage
        if got.body == body:
            continue
        said = read(api, got.body, stream=answer.streamed, echo=first is None)
        if first is None:
            first, body = said, got.body
            check_said(api, answer, said)
            check_rest(api, answer, got)
            if said.next:
                check_echo(api, answer, said)
        assert (said.text, said.reasoning, said.calls, said.finish) == (
            first.text, first.reasoning, first.calls, first.finish,
        )  # fmt: skip


@pytest.mark.parametrize("api", ASKED)
@every("name", [name for name, answer in answers().items() if answer.want.error])
def test_a_stream_that_fails(name: str, api: str) -> None:
    answer = answers()[name]
    for size in SPLITS if is_asked(name, api, failing=True) else ():
        with known(name, api), pytest.raises(UpstreamFailure, match=re.escape(answer.want.error)):
            passed(api, answer, size)
