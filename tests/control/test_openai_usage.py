"""OpenAI's usage and costs, as OpenAI's own library asks for them and reads them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from control_process import ControlProcess
from msgspec import structs
from openai import AsyncOpenAI, BadRequestError, PermissionDeniedError

from tests.fixtures.ledger import SQLITE
from tests.fixtures.records import RECORD, write
from weebill.config.paths import Home
from weebill.storage.opening import open_ledger
from weebill.storage.usage import StoredUsage
from weebill.usage.ingest import Ingester

DAY_S = 86_400
START = RECORD.started_at // 1_000_000 // DAY_S * DAY_S
CHAT = structs.replace(RECORD, endpoint="chat.completions", cost_nano=1_500_000_000)


@pytest.fixture
def used(home: Home, control: ControlProcess) -> None:
    """Three days of usage, of which the second has none."""
    write(
        home,
        [
            CHAT,
            structs.replace(CHAT, endpoint="messages", model_served="large"),
            structs.replace(CHAT, endpoint="embeddings", cost_nano=None, model_served="minilm"),
            structs.replace(CHAT, endpoint="images.generations"),
            structs.replace(CHAT, started_at=CHAT.started_at + 2 * DAY_S * 1_000_000, key_id="key_2"),
        ],
    )
    with open_ledger(home, SQLITE) as ledger:
        assert Ingester(StoredUsage(ledger), home.journal).run() == 5


@pytest.fixture
async def client(control: ControlProcess, admin: str, used: None) -> AsyncIterator[AsyncOpenAI]:
    async with control.client() as http:
        yield AsyncOpenAI(
            admin_api_key=admin, api_key=admin, base_url="http://weebill/v1", http_client=http, max_retries=0
        )


async def test_completions_by_day(client: AsyncOpenAI) -> None:
    page = await client.admin.organization.usage.completions(start_time=START, end_time=START + 3 * DAY_S)
    assert [(each.start_time, each.end_time) for each in page.data] == [
        (START + day * DAY_S, START + (day + 1) * DAY_S) for day in range(3)
    ]
    first, second, third = (each.results for each in page.data)
    assert (page.has_more, page.next_page, second) == (False, None, [])
    [result] = first
    assert result.object == "organization.usage.completions.result"
    assert (result.input_tokens, result.input_cached_tokens, result.output_tokens) == (20, 8, 6)
    assert (result.num_model_requests, result.model, result.project_id) == (2, None, None)
    assert third[0].object == "organization.usage.completions.result"
    assert third[0].num_model_requests == 1


async def test_groups_filters_and_pages(client: AsyncOpenAI) -> None:
    usage = client.admin.organization.usage
    page = await usage.completions(start_time=START, end_time=START + 3 * DAY_S, group_by=["model", "batch"], limit=1)
    found = [(each.model, each.batch, each.num_model_requests) for each in page.data[0].results]  # type: ignore[union-attr]
    assert found == [("large", False, 1), ("smollm2:135m", False, 1)]
    pages = 1
    while page.next_page is not None:
        page = await usage.completions(
            start_time=START, end_time=START + 3 * DAY_S, group_by=["api_key_id"], limit=1, page=page.next_page
        )
        pages += 1
    assert pages == 3
    assert [each.api_key_id for each in page.data[0].results] == ["key_2"]  # type: ignore[union-attr]
    hours = await usage.completions(
        start_time=START, end_time=START + DAY_S, bucket_width="1h", models=["large"], api_key_ids=["key_1"]
    )
    assert len(hours.data) == 24
    assert [each.results[0].num_model_requests for each in hours.data if each.results] == [1]  # type: ignore[union-attr]
    vectors = await usage.embeddings(start_time=START, end_time=START + DAY_S)
    assert [each.input_tokens for each in vectors.data[0].results] == [10]  # type: ignore[union-attr]
    assert (await usage.moderations(start_time=START, end_time=START + DAY_S)).data[0].results == []


async def test_costs(client: AsyncOpenAI) -> None:
    page = await client.admin.organization.usage.costs(
        start_time=START, end_time=START + DAY_S, group_by=["line_item", "project_id"]
    )
    found = {each.line_item: each.amount for each in page.data[0].results}  # type: ignore[union-attr]
    assert found["minilm"] is None  # whose price is not known
    assert found["large"] is not None
    assert (found["large"].value, found["large"].currency) == (1.5, "usd")
    assert found["smollm2:135m"] is not None
    assert found["smollm2:135m"].value == 3.0


async def test_what_is_not_kept_is_refused(client: AsyncOpenAI, control: ControlProcess, user: str) -> None:
    usage = client.admin.organization.usage
    for refused, param in (
        (usage.images(start_time=START), None),
        (usage.completions(start_time=START, bucket_width="1m"), "bucket_width"),
        (usage.completions(start_time=START, limit=32), "limit"),
        (usage.completions(start_time=START, end_time=START), "end_time"),
        (usage.completions(start_time=START, page="later"), "page"),
        (usage.costs(start_time=START, group_by=["user_id"]), "group_by"),
        (usage.completions(start_time=START, group_by=["size"]), "group_by"),  # type: ignore[list-item]
    ):
        with pytest.raises(BadRequestError) as caught:
            await refused
        assert caught.value.param == param
    async with control.client() as http:
        other = AsyncOpenAI(admin_api_key=user, base_url="http://weebill/v1", http_client=http, max_retries=0)
        with pytest.raises(PermissionDeniedError):
            await other.admin.organization.usage.costs(start_time=int(time.time()) - DAY_S)
