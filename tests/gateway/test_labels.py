"""What clients say of a request for their own accounts reaches its record, whatever their API calls it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fixtures.upstream import Upstream, complete, completion
from tests.fixtures.worker import RunningWorker
from weebill.gateway.labels import MOST_NAME, MOST_TAGS, MOST_VALUE, labels_of
from weebill.usage.records import Labels
from weebill.wire.json_values import decode_object


@pytest.mark.parametrize(
    ("body", "labels"),
    [
        ({}, None),
        ({"user": "ann"}, Labels("ann")),
        ({"user": "ann", "safety_identifier": "hash"}, Labels("hash")),
        ({"metadata": {"team": "x", "app": "y"}}, Labels("", (("app", "y"), ("team", "x")))),
        ({"metadata": {"user_id": "bob"}}, Labels("bob")),
        ({"user": "ann", "metadata": {"user_id": "bob"}}, Labels("ann", (("user_id", "bob"),))),
        ({"metadata": {"weebill_feedback_for": "r", "n": 1}}, None),
        ({"metadata": None, "user": 7}, None),
        ({"user": "x" * 5000}, Labels("x" * MOST_VALUE)),
    ],
)
def test_labels_by_the_fields_of_each_api(body: dict[str, object], labels: Labels | None) -> None:
    assert labels_of(decode_object(msgspec.json.encode(body))) == labels


values = st.recursive(st.none() | st.integers() | st.text(max_size=600), lambda each: st.lists(each, max_size=3))


@settings(max_examples=50)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "user": values,
            "safety_identifier": values,
            "metadata": values | st.dictionaries(st.text(max_size=70), values, max_size=20),
        },
    )
)
def test_labels_are_within_bounds_and_come_back(body: dict[str, object]) -> None:
    labels = labels_of(decode_object(msgspec.json.encode(body)))
    if labels is not None:
        assert labels != Labels()
        assert len(labels.user) <= MOST_VALUE
        assert len(labels.tags) <= MOST_TAGS
        assert all(0 < len(name) <= MOST_NAME and len(value) <= MOST_VALUE for name, value in labels.tags)
        assert len(dict(labels.tags)) == len(labels.tags)
        assert msgspec.json.decode(msgspec.json.encode(labels), type=Labels) == labels


SAID: list[dict[str, str]] = [{"role": "user", "content": "hi"}]
TAGS = (("team", "x"),)


@pytest.mark.parametrize(
    ("path", "body", "labels"),
    [
        ("/v1/chat/completions", {"messages": SAID, "user": "ann", "metadata": {"team": "x"}}, Labels("ann", TAGS)),
        ("/v1/chat/completions", {"messages": SAID}, None),
        ("/v1/responses", {"input": "hi", "safety_identifier": "s", "metadata": {"team": "x"}}, Labels("s", TAGS)),
        ("/v1/messages", {"messages": SAID, "max_tokens": 9, "metadata": {"user_id": "bob"}}, Labels("bob")),
        ("/v1/embeddings", {"input": "hi", "user": "ann"}, Labels("ann")),
    ],
)
async def test_records_have_what_clients_say_for_their_own_accounts(
    worker: RunningWorker, upstream: Upstream, path: str, body: dict[str, object], labels: Labels | None
) -> None:
    upstream.script = complete(completion())
    await worker.client.post(path, json={"model": "gpt-4o-mini", **body})
    assert (await worker.record()).labels == labels


async def test_a_translated_request_has_one_record_and_reading_its_answer_none(
    worker: RunningWorker, upstream: Upstream
) -> None:
    """Others record a request to the Responses API twice where an upstream has none (LiteLLM 15740), and each time that
    a stored response is read (17814).
    """
    upstream.script = complete(completion())
    body = {"model": "gpt-4o-mini", "input": "hi", "store": False}
    answer = await worker.client.post("/v1/responses", json=body)
    assert (await worker.record()).prompt_tokens > 0
    await worker.client.get(f"/v1/responses/{answer.json()['id']}")
    await worker.client.post("/v1/responses", json=body)
    await worker.record(2)
