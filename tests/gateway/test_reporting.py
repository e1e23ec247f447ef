"""Reports of a worker to the learner: one that cannot be sent holds up nothing after it."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from msgspec import Raw

from weebill.auto.learning import Audited, Content, Decided, Pair, Report
from weebill.gateway.reporting import Reporter
from weebill.process.questions import Unanswered

PAIR = Pair("s/small", "l/large", "place-1")
NONE = Raw(msgspec.msgpack.encode(None))


def decided(number: int) -> Decided:
    return Decided(request_id=f"req_{number}", key_id="key", at=1, tier="large", features=b"\x00\x3c")


class Learner:
    """Keeps reports that can be encoded for the socket."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.is_down = False

    async def ask(self, topic: str, question: object) -> Raw:
        assert isinstance(question, Report)
        if self.is_down:
            raise Unanswered("it is down")
        msgspec.msgpack.encode(question)
        self.reports.append(question)
        return NONE


async def until_sent(reporter: Reporter) -> None:
    async with asyncio.timeout(30):
        while reporter.waiting:
            await asyncio.sleep(0.01)


async def test_a_report_that_cannot_be_encoded_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    learner = Learner()
    reporter = Reporter(learner.ask)
    reporter.report(PAIR, msgspec.structs.replace(decided(1), spent_nano=1 << 70))
    await until_sent(reporter)
    assert "passed over" in caplog.text
    reporter.report(PAIR, decided(2))
    await until_sent(reporter)
    assert [each.decided for each in learner.reports] == [(decided(2),)]


async def test_texts_wait_only_as_long_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weebill.gateway.reporting._MOST_CHARS", 250)
    learner = Learner()
    reporter = Reporter(learner.ask)

    def report(count: int) -> None:
        for number in range(count):
            texts = Content("x" * 50, "y" * 25, "z" * 25)
            reporter.report(PAIR, Audited(request_id=f"{number}", small=1.0, large=1.0, by="short", content=texts))

    report(5)
    await until_sent(reporter)
    report(1)
    await until_sent(reporter)
    kept = [each.content is not None for report in learner.reports for each in report.audited]
    assert kept == [True, True, False, False, False, True]
