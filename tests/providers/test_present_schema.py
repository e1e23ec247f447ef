"""Null for what is absent in schemas, as programs in Go and others write it."""

import json

import pytest
from msgspec import Raw

from weebill.apis.chat.api import CHAT
from weebill.gateway.translation import translator
from weebill.providers.base import Target
from weebill.providers.present_schema import present


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('{"type":"object","properties":null}', '{"type":"object"}'),
        ('{"type":"object","properties": null, "required" : null,"additionalProperties":false}',
         '{"type":"object","additionalProperties":false}'),
        ('{"properties":{"a":{"type":"array","items":null,"enum":null,"description":null}}}',
         '{"properties":{"a":{"type":"array"}}}'),
        ('{"properties":{"a":null,"b":true}}', '{"properties":{"a":{},"b":true}}'),
        ('{"anyOf":[{"type":"object","properties":null},{"items":[{"format":null}]}]}',
         '{"anyOf":[{"type":"object"},{"items":[{}]}]}'),
        ('{"$defs":{"properties":{"type":"object","properties":null}},"anyOf":null}',
         '{"$defs":{"properties":{"type":"object"}}}'),
        ('{"properties":{"a":{"default":null,"title":null},"default":{"x":null},"n":{"maximum":1e400}}}',
         '{"properties":{"a":{"default":null},"default":{},"n":{"maximum":1e400}}}'),
    ],
)  # fmt: skip
def test_null_is_absent(given: str, expected: str) -> None:
    assert bytes(present(Raw(given.encode()))).decode() == expected


@pytest.mark.parametrize(
    "schema",
    [
        '{"type":["string","null"],  "default":null}',
        '{"enum":["a",null],"const":null, "examples":[{"x":null}]}',
        '{"properties":{"default":{"default": null},"x":{"examples":[{"a":null}]}}}',
        '{"description":"like {\\"a\\": null}","anyOf":[{"type":"null"}]}',
        '{"properties":{"a":',
        '{"x":' * 90 + "null" + "}" * 90,
    ],
)
def test_what_may_be_null_stays_byte_for_byte(schema: str) -> None:
    given = Raw(schema.encode())
    assert bytes(present(given)) == bytes(given)


@pytest.mark.parametrize("dialect", ["anthropic", "bedrock", "gemini", "cohere", "ollama", "openai-responses"])
def test_no_target_is_told_of_what_is_absent(dialect: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "enum": None}, "b": None}, "required": None}
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "tools": [{"type": "function", "function": {"name": name, "parameters": each}}
                  for name, each in (("f", schema), ("g", {"type": "object", "properties": None}))],
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}},
    }  # fmt: skip
    target = Target(model="m", provider=dialect, options={"region": "r"})
    sent = translator(CHAT, dialect, frozenset()).encode(CHAT.decode(json.dumps(body).encode(), {}, ""), target)
    assert b"null" not in sent.body
