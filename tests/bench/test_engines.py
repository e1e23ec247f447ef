"""Engines side by side: what is made of their streams, and what the table says of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench.engines.client import Answer, Server, stream, tokens_per_s
from bench.engines.found import EnginesRun, Sample
from bench.engines.measure import GATEWAY, HOST, OLLAMA
from bench.engines.rows import notes_of, rows_of
from bench.proc import BenchError
from bench.results import Figure

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
_WORDS = (
    b'data: {"choices": [{"delta": {"role": "assistant", "content": null}}]}\n\n'
    b'data: {"choices": [{"delta": {"content": "a "}}]}\n\ndata: {"choices": [{"text": "b"}]}\n\n'
)
_USAGE = b'data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}}\n\n'


@contextmanager
def answering(content: bytes) -> Iterator[int]:
    """Gives this answer to the one request that comes to the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer() -> None:
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as request:
                # Read to its end: what is left unread as a connection is closed resets it, before its answer is read.
                head = b"".join(iter(request.readline, b"\r\n")).lower()
                request.read(int(head.partition(b"content-length:")[2].split()[0]))
                connection.sendall(content)

        thread = threading.Thread(target=answer)
        thread.start()
        yield listening.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(("counts", "tokens", "prompt"), [(_USAGE, 5, 7), (b"", 2, 0)])
def test_chat_and_text_are_read_alike_with_and_without_counts(counts: bytes, tokens: int, prompt: int) -> None:
    with answering(_HEAD + _WORDS + counts + b"data: [DONE]\n\n") as port:
        answer = stream(Server("x", port, "key", 0), "/v1/completions", {})
    assert (answer.text, answer.tokens, answer.prompt_tokens) == ("a b", tokens, prompt)
    assert answer.sent_at < answer.first_at <= answer.last_at


def test_what_a_server_refuses_is_said() -> None:
    with (
        answering(b"HTTP/1.1 400 Bad\r\nContent-Length: 8\r\n\r\ntoo long") as port,
        pytest.raises(BenchError, match="x: status 400: too long"),
    ):
        stream(Server("x", port, "key", 0), "/v1/completions", {})


def test_a_rate_is_of_what_comes_after_the_first_token() -> None:
    # Two streams, of which the second waits for the first: all of its time counts.
    answers = [Answer("", 11, 0, 0.0, 1.0, 2.0), Answer("", 11, 0, 0.0, 2.0, 3.0)]
    assert tokens_per_s(answers) == 10.0


def _run(*samples: Sample) -> EnginesRun:
    return EnginesRun(started_at="", commit="", machine={}, busy_before=0, model="m", rounds=3, samples=list(samples))


def _timed(figure: str, contender: str, *values: float) -> list[Sample]:
    return [
        Sample(figure=figure, contender=contender, round=number, value=value, wall_s=1.0, cpu_s=2.0, others=number)
        for number, value in enumerate(values)
    ]


def test_a_row_has_medians_and_what_they_took() -> None:
    run = _run(*_timed("streams/4", HOST, 30, 10, 20), *_timed("streams/4", GATEWAY, 20, 20, 19))
    rows = {row.key: row for row in rows_of(run)}
    assert rows["streams/4"].cells == {HOST: Figure(20, 10, 30), GATEWAY: Figure(20, 19, 20)}
    assert rows["streams/4/cpu"].cells == {HOST: Figure(2, 2, 2), GATEWAY: Figure(2, 2, 2)}
    run.absent[OLLAMA] = "no package"
    assert notes_of(run) == ["Ollama: no package", "others kept 1.0 cores busy in the median measurement, 0.0 to 2.0"]


@pytest.mark.parametrize(
    ("sample", "met", "said"),
    [
        (Sample(figure="share/4", contender=GATEWAY, round=0, value=0.8), True, "✓ ≤ 1 % (0.80 %)"),
        (Sample(figure="share/4", contender=GATEWAY, round=0, value=1.2), False, "✗ ≤ 1 % (1.20 %)"),
        (Sample(figure="agent", contender=HOST, round=0, value=3.0), True, "✓ ≤ 4 s (3.0 s)"),
        (
            Sample(figure="agent", contender=HOST, round=0, value=80.0),
            False,
            "✗ ≤ 4 s (80 s: prompts would have to be read 20 × as fast)",
        ),
    ],
)
def test_targets(sample: Sample, met: bool, said: str) -> None:
    (row,) = (row for row in rows_of(_run(sample)) if row.key == sample.figure)
    assert [(verdict.met, str(verdict)) for verdict in row.verdicts] == [(met, said)]
