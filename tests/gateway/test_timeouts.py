"""How long the head of an answer may take: of one in one piece longer than of a stream."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from functools import partial
from math import inf
from random import Random
from typing import cast

import msgspec
import pytest

from tests.fixtures.upstream import DONE, STREAM_HEAD, Request, Upstream, answer, chunk, completion, framed
from tests.gateway.conftest import settings
from weebill.apis.chat.api import CHAT
from weebill.gateway.generation_call import GenerationCall
from weebill.gateway.limiter import Limiter
from weebill.gateway.meter import Spending
from weebill.gateway.opened import CompleteResponse
from weebill.gateway.translation import translator
from weebill.gateway.upstreams import Upstreams
from weebill.limits.book import Book
from weebill.process.questions import Unanswered
from weebill.routing.directory import Directory
from weebill.routing.router import Router
from weebill.routing.steps import Try
from weebill.transport.client import Client
from weebill.transport.errors import UpstreamTimeout
from weebill.transport.exchange import Exchange


async def _nobody(topic: str, question: object) -> msgspec.Raw:
    raise Unanswered(topic)


class Asking:
    """Asks the upstream as a worker does, with time-outs that a test can wait for: 0.3 s for streams, 60 for others."""

    def __init__(self, upstream: Upstream) -> None:
        self.client = Client()
        configured = settings(upstream)
        router = Router(configured.routing, Directory(configured, (), 0), Random(1))
        self._deployment = router.directory.resolve("gpt-4o-mini")
        self._upstreams = Upstreams(
            self.client, router, configured.server, Limiter(Book("test", _nobody, lambda: None))
        )

    async def ask(self, *, stream: bool, patience_s: float = inf) -> object:
        at = self._deployment.upstream
        assert at is not None
        timeouts = msgspec.structs.replace(at.timeouts, first_byte=0.3)
        whole = msgspec.structs.replace(at.timeouts, first_byte=60.0)
        at = replace(at, timeouts=timeouts, whole_timeouts=whole, forward_headers=frozenset())
        step = Try(replace(self._deployment, upstream=at), at.credentials[0], patience_s)
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
        call = CHAT.decode(json.dumps(body).encode(), {}, "")
        exchange = cast("Exchange", None)  # of which only headers are of interest here, and none is
        of_upstream = GenerationCall(self._upstreams, exchange, CHAT, partial(translator, CHAT), call, step, Spending())
        opened = await of_upstream.open()
        self._upstreams.leave(opened.upstream, opened.response)
        return opened


async def late(request: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(1.0)
    if request.json.get("stream"):
        writer.write(STREAM_HEAD + framed(chunk("Hello") + chunk(finish="stop") + DONE) + b"0\r\n\r\n")
    else:
        writer.write(answer(200, json.dumps(completion()).encode()))


async def test_an_answer_in_one_piece_may_come_late(upstream: Upstream) -> None:
    upstream.script = late
    asking = Asking(upstream)
    assert isinstance(await asking.ask(stream=False), CompleteResponse)
    with pytest.raises(UpstreamTimeout, match="first_byte"):
        await asking.ask(stream=True)
    with pytest.raises(UpstreamTimeout, match="first_byte"):
        await asking.ask(stream=False, patience_s=0.3)
    asking.client.close()
