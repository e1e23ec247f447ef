"""Answers that are cut: by the client's limit, or by another one."""

from __future__ import annotations

import msgspec
import pytest

from tests.auto.cascade.answers import PLAIN, reply
from weebill.auto.cascade.truncation import check_truncation
from weebill.wire.reply import Choice, FinishReason, Reply, Usage


def said(*ends: FinishReason, tokens: int | None) -> Reply:
    usage = Usage() if tokens is None else Usage.reported(10, tokens)
    return Reply("r", "m", tuple(Choice(reply("x").choices[0].parts, end) for end in ends), usage)


@pytest.mark.parametrize(
    ("limit", "answer", "passed"),
    [
        (None, said("stop", tokens=90), True),
        (None, said("length", tokens=90), False),
        (None, said("length", tokens=None), False),
        (100, said("length", tokens=100), True),
        (100, said("length", tokens=98), True),
        (100, said("length", tokens=97), False),
        (100, said("stop", tokens=50), True),
        (100, said("length", tokens=None), None),
        (100, said("length", "length", tokens=200), True),
        (100, said("length", "length", tokens=180), False),
        (100, said("stop", "length", tokens=130), True),
    ],
)
def test_truncation(limit: int | None, answer: Reply, passed: bool | None) -> None:
    assert check_truncation(msgspec.structs.replace(PLAIN, max_tokens=limit), answer).passed is passed
