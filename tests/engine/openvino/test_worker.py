"""The work of the engine with a library that does as it is told: what one request meets, others do not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from weebill.engine.openvino.library import Handle, Terms
from weebill.engine.openvino.prompt import Prompts
from weebill.engine.openvino.request import COMPLETIONS
from weebill.engine.openvino.vocabulary import Vocabulary
from weebill.engine.openvino.worker import OpenVinoWorker, Window
from weebill.engine.serving.jobs import Head, Job

# What tokens of prompts tell the library to do.
WRITES, IS_NOT_TAKEN, HAS_NO_ROOM = range(3)
VOCABULARY = Vocabulary((b"a", b"b", b"c"), (), None, "", "", 9, frozenset({9}))


@dataclass
class Output:
    generated_ids: list[int]
    generated_log_probs: list[float] = field(default_factory=list)


class Written:
    """A sequence: a token in each step, and its end after as many as are wanted."""

    def __init__(self, told: int, number: int, wanted: int) -> None:
        self.told = told
        # Without room for the first of an answer, the others are written all the same.
        self.given_up = told == HAS_NO_ROOM and number == 0
        self.cancelled = False
        self._left = wanted
        self._unread: list[int] = []

    @property
    def running(self) -> bool:
        return self._left > 0 and not self.given_up and not self.cancelled

    def go_on(self) -> None:
        if self.running:
            self._left -= 1
            self._unread.append(0)

    def can_read(self) -> bool:
        return bool(self._unread)

    def read(self) -> dict[int, Output]:
        tokens, self._unread = self._unread, []
        return {0: Output(tokens)}

    def cancel(self) -> None:
        self.cancelled = True

    def get_status(self) -> object:
        return self.running


class Library:
    """Stands in for `Model`."""

    def __init__(self) -> None:
        self.begun: list[Written] = []

    def begin(self, prompt: Sequence[int], terms: Terms) -> Handle:
        if prompt[0] == IS_NOT_TAKEN and terms.number == 1:
            raise RuntimeError("no such setting")
        self.begun.append(Written(prompt[0], terms.number, terms.most_tokens))
        return self.begun[-1]

    def step(self) -> bool:
        for each in self.begun:
            each.go_on()
        return True

    def is_running(self, handle: Written) -> bool:
        return handle.running

    def was_given_up(self, handle: Written) -> bool:
        return handle.given_up


@pytest.mark.parametrize("fault", [IS_NOT_TAKEN, HAS_NO_ROOM])
@pytest.mark.parametrize("tokens", [1, 3])
def test_a_request_that_fails_fails_alone(fault: int, tokens: int) -> None:
    library = Library()
    worker = OpenVinoWorker(library, VOCABULARY, Prompts("", VOCABULARY, 64), "m", Window(64, 4))

    async def answers() -> list[tuple[int, dict[str, object]]]:
        jobs = []
        for told in (WRITES, fault):
            body = {"prompt": [told], "n": 2, "max_tokens": tokens}
            jobs.append(Job(COMPLETIONS, json.dumps(body).encode()))
            worker.begin(jobs[-1])
        for _ in range(tokens + 1):
            worker.step([job for job in jobs if not job.done])
        # The places of those that have failed are free again.
        jobs.append(Job(COMPLETIONS, json.dumps({"prompt": [WRITES], "n": 4, "max_tokens": 1}).encode()))
        worker.begin(jobs[-1])
        worker.step(jobs[-1:])
        return [await told_of(job) for job in jobs]

    first, failed, last = asyncio.run(answers())
    assert first[0] == last[0] == 200
    assert [each["text"] for each in first[1]["choices"]] == ["a" * tokens] * 2
    assert len(last[1]["choices"]) == 4
    assert (failed[0], failed[1]["error"]["type"]) == (500, "server_error")
    assert all(each.cancelled for each in library.begun if each.told == fault)


async def told_of(job: Job) -> tuple[int, dict[str, object]]:
    assert job.done
    head, body = await job.piece(), await job.piece()
    assert isinstance(head, Head)
    assert isinstance(body, bytes)
    return head.status, json.loads(body)
