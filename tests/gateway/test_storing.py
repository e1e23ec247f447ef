"""A store of responses that fails: answers are not paid for that could not be stored."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from weebill.apis.responses.api import RESPONSES
from weebill.gateway.responses import ResponseState
from weebill.process.questions import Unanswered, encode
from weebill.wire.call import Call
from weebill.wire.errors import ApiError
from weebill.wire.responses_store import RemoteResponseStore

RESPONSE = json.dumps({"id": "resp_1", "object": "response", "status": "completed", "output": []}).encode()


class Store:
    """Answers that there is nothing, unless it is down."""

    def __init__(self) -> None:
        self.down = True
        self.asked = 0

    async def ask(self, topic: str, question: object) -> Raw:
        self.asked += 1
        if self.down:
            raise Unanswered("down")
        return Raw(encode(None))


def call(**fields: object) -> Call:
    return RESPONSES.decode(json.dumps({"model": "m", "input": "Hi", **fields}).encode(), {}, "")


async def test_the_store_is_asked_first_once_it_has_failed() -> None:
    store = Store()
    state = ResponseState(RemoteResponseStore(store.ask))
    asked = await state.prepare(call(), "t")
    assert not store.asked
    for attempt in (state.keep(asked, "t", RESPONSE), state.prepare(call(), "t")):
        with pytest.raises(ApiError) as caught:
            await attempt
        assert (caught.value.status, caught.value.retry_after) == (503, 1)
    await state.prepare(call(store=False), "t")
    assert store.asked == 2
    store.down = False
    for _ in range(3):
        await state.prepare(call(), "t")
    assert store.asked == 3, "it answers again"
