"""Ratings through OpenAI's own client, from the answer to the report; and what nobody may rate, or find out by it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Final

import openai
import pytest
from openai import BaseModel

from tests.fixtures.ledger import SQLITE
from tests.fixtures.projects import add_project
from tests.fixtures.upstream import Upstream, complete
from tests.fixtures.worker import RunningWorker
from weebill.config.paths import Home
from weebill.storage.keys import open_keys
from weebill.storage.opening import open_ledger
from weebill.storage.rating_search import RatingSearch
from weebill.storage.usage import StoredUsage
from weebill.storage.usage_export import RECORD_COLUMNS, records
from weebill.storage.usage_reports import report
from weebill.usage.ingest import Ingester
from weebill.usage.reports import ReportQuery
from weebill.usage.spans import LATEST_H, Span

ALL: Final = Span(0, LATEST_H)
_OF_RATING: Final = slice(RECORD_COLUMNS.index("score"), None)
_REQUEST: Final = RECORD_COLUMNS.index("request_id")


class Told(BaseModel):
    """What the client makes of an answer."""

    status: str
    request_id: str
    score: float


class Kept(BaseModel):
    """What the ledger has after all that is in the journal."""

    rated: int
    mean_score: float | None
    ratings: dict[str, list[object]]


def kept(home: Home) -> Kept:
    """Ingests, looks for the requests that were rated, and reports."""
    with open_ledger(home, SQLITE) as ledger:
        Ingester(StoredUsage(ledger), home.journal).run()
        RatingSearch(ledger, lambda: None).look()
        page = ledger.read(partial(report, query=ReportQuery(span=ALL, bucket="all"), limit=10))
        found = {str(row[_REQUEST]): list(row[_OF_RATING]) for rows in records(ledger, ALL, {}) for row in rows}
        [amounts] = [row.amounts for row in page.rows]
        return Kept(rated=amounts.rated, mean_score=amounts.mean_score, ratings=found)


async def asked(client: openai.AsyncOpenAI) -> str:
    """Asks something; returns the id of the request, as the client tells it."""
    answer = await client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}])
    assert answer._request_id is not None
    return answer._request_id


def client_of(worker: RunningWorker, secret: str | None = None) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{worker.url}/v1", api_key=secret or worker.key, max_retries=0)


async def rate(client: openai.AsyncOpenAI, **body: object) -> Told:
    return await client.post("/feedback", cast_to=Told, body=body)


def asked_and_rated(url: str, secret: str) -> str:
    """With the client that is not asynchronous, on a thread."""
    with openai.OpenAI(base_url=url, api_key=secret, max_retries=0) as client:
        answer = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}])
        told = client.post("/feedback", cast_to=Told, body={"request_id": answer._request_id, "rating": "good"})
        assert (told.status, told.request_id, told.score) == ("accepted", answer._request_id, 1.0)
        return told.request_id


async def test_the_official_client_rates_what_it_has_asked(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = complete()
    async with client_of(worker) as client:
        first, unrated = await asked(client), await asked(client)
        comment = "Nul \0, a line\nand 👍"
        assert (await rate(client, request_id=first, score=0.5, comment=comment)).status == "accepted"
    second = await asyncio.to_thread(asked_and_rated, f"{worker.url}/v1", worker.key)
    await worker.record(3)
    found = kept(worker.home)
    assert (found.rated, found.mean_score) == (2, 0.75)
    assert (found.ratings[first][0], found.ratings[first][3]) == (0.5, "Nul \ufffd, a line\nand 👍")
    assert (found.ratings[second][0], found.ratings[unrated]) == (1.0, [None] * 4)
    # Again, and the last one counts.
    async with client_of(worker) as client:
        for score in (1, 0, 0.25):
            await rate(client, request_id=first, score=score)
    found = kept(worker.home)
    assert (found.rated, found.mean_score, found.ratings[first][3]) == (2, 0.625, "")


async def test_others_neither_rate_a_request_nor_find_out_that_it_is_there(
    worker: RunningWorker, upstream: Upstream
) -> None:
    upstream.script = complete()
    stranger = add_project(worker.home, "stranger")
    async with client_of(worker) as client, client_of(worker, stranger) as other:
        mine = await asked(client)
        await rate(client, request_id=mine, score=1)
        answers = [
            await other.post("/feedback", cast_to=object, body={"request_id": each, "score": 0, "comment": "x"})
            for each in (mine, "req_none")
        ]
        assert json.dumps(answers[0]).replace(mine, "req_none") == json.dumps(answers[1])
        # By what comes with a request of theirs, too.
        metadata = {"weebill_feedback_for": mine, "weebill_score": "0"}
        theirs = await other.chat.completions.create(
            model="gpt-4o-mini", messages=[{"role": "user", "content": "Hi"}], metadata=metadata
        )
        await worker.record(2)
        found = kept(worker.home)
        assert (found.rated, found.mean_score) == (1, 1.0)
        assert (found.ratings[mine][3], found.ratings[str(theirs._request_id)]) == ("", [None] * 4)


async def may_rate(client: openai.AsyncOpenAI) -> bool:
    try:
        await rate(client, request_id="req_none", score=1)
    except openai.AuthenticationError:
        return False
    return True


async def test_a_key_that_was_revoked_rates_nothing(worker: RunningWorker, upstream: Upstream) -> None:
    upstream.script = complete()
    with open_keys(worker.home, SQLITE) as keys:
        made = keys.create("short")
    async with client_of(worker, made.secret) as client:
        mine = await asked(client)
        with open_keys(worker.home, SQLITE) as keys:
            keys.revoke(made.key.id)
        async with asyncio.timeout(60):
            while await may_rate(client):
                await asyncio.sleep(0.1)
        with pytest.raises(openai.AuthenticationError):
            await rate(client, request_id=mine, score=1)
    await worker.record(1)
    assert kept(worker.home).rated == 0


WRONG: Final = [
    (b'{"request_id": "req_a", "score": 1.01}', "score"),
    (b'{"request_id": "req_a", "score": -0.01}', "score"),
    (b'{"request_id": "req_a", "score": 1e999}', "score"),
    (b'{"request_id": "req_a", "score": NaN}', None),
    (b'{"request_id": "req_a", "score": "1"}', "score"),
    (b'{"request_id": "req_a", "score": true}', "score"),
    (b'{"request_id": "req_a", "score": null}', "score"),
    (b'{"request_id": "req_a", "rating": "fine"}', "rating"),
    (b'{"request_id": "", "score": 1}', "request_id"),
    (b'{"request_id": "%b", "score": 1}' % (b"r" * 201), "request_id"),
    (b'{"request_id": "req_a", "score": 1, "comment": "%b"}' % (b"c" * 10_001), "comment"),
    (b'{"request_id": "req_a", "score": 1, "comment": "\\ud800"}', None),
    (b'{"request_id": "req_a", "score": 1, "comment": "\xed\xa0\x80"}', None),
    (b'{"request_id": "\\udfff", "score": 1}', None),
    (b'{"request_id": "req_a", "score": 1, "stars": 5}', None),
    (b"[1]", None),
    (b"", None),
]


async def test_what_is_no_rating_is_refused_and_names_the_field(worker: RunningWorker) -> None:
    for body, param in WRONG:
        answer = await worker.client.post("/v1/feedback", content=body)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"], error["param"]) == (400, "invalid_value", param), body[:80]

    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1000

    # Whether it comes at once, with its head or after it, or bit by bit.
    for content in (b" " * 70_000, in_pieces()):
        long = await worker.client.post("/v1/feedback", content=content)
        assert (long.status_code, long.json()["error"]["code"]) == (413, "request_too_large")
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    head = f"host: a\r\nconnection: close\r\nauthorization: Bearer {worker.key}\r\ncontent-length: 70000\r\n\r\n"
    writer.write(f"POST /v1/feedback HTTP/1.1\r\n{head}".encode() + b" " * 70_000)
    assert (await reader.read()).startswith(b"HTTP/1.1 413 ")
    writer.close()
    # The longest comment is taken.
    longest = {"request_id": "req_a", "score": 1, "comment": "👍" * 10_000}
    taken = await worker.client.post("/v1/feedback", content=json.dumps(longest, ensure_ascii=False).encode())
    assert taken.status_code == 202
    journal = b"".join(each.read_bytes() for each in Path(worker.home.journal).glob("*.jsonl"))
    assert journal.count(b'"request_id"') == 1
