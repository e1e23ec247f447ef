"""Arguments of tool calls that are no objects: carried where an object is demanded, and given back as they were."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weebill.wire.arguments import as_object, as_text


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ('{"a": 1}', {"a": 1}),
        (' {"a":{"b":[]}}\n', {"a": {"b": []}}),
        ("", {}),
        ("null", {}),
        ('""', {}),
        ("[1, 2]", {"weebill_arguments": [1, 2]}),
        ("3.5", {"weebill_arguments": 3.5}),
        ("true", {"weebill_arguments": True}),
        ('{"city": "Ber', {"weebill_arguments": '{"city": "Ber'}),
        ("Berlin", {"weebill_arguments": "Berlin"}),
        ("\ud83d", {"weebill_arguments": "?"}),
    ],
)
def test_arguments_become_an_object(text: str, sent: object) -> None:
    assert json.loads(bytes(as_object(text))) == sent


@pytest.mark.parametrize(
    "text", ['{"a": 1}', "[1,2]", "3", '{"city": "Ber', "Berlin", "{}", '{"weebill_arguments":1,"b":2}']
)
def test_they_come_back_as_they_were(text: str) -> None:
    assert as_text(bytes(as_object(text))) == text


@given(st.text())
def test_anything_becomes_an_object(text: str) -> None:
    assert isinstance(json.loads(bytes(as_object(text))), dict)
