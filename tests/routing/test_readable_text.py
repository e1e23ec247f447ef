"""What can be read of a request that has no canonical form."""

from __future__ import annotations

import json

import pytest
from msgspec import Raw

from weebill.auto.texts import question, texts
from weebill.routing.readable_text import readable
from weebill.wire.conversation import Conversation, Text, Turn

NONE = Conversation(turns=())
KNOWN = Conversation(turns=(Turn("user", (Text("Hello"),)),))
DATA = "QUJD" * 100


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"prompt": ["a", "b"]}, "a\nb"),
        ({"prompt": [[1, 2], [3]]}, ""),
        ({"messages": [{"role": "user", "content": [{"type": "new", "text": "a"}]}], "model": "m"}, "a"),
        ({"system": "s", "messages": [{"content": "a"}]}, "s\na"),
        ({"input": [{"role": "user", "content": "a", "image": DATA, "url": f"data:image/png;base64,{DATA}"}]}, "a"),
        ({"contents": [{"parts": [{"text": "a"}, {"inlineData": {"data": DATA}}]}]}, "a"),
        ({"input": DATA + " a"}, DATA + " a"),
        ({"tools": [{"name": "f", "description": "d"}]}, ""),
    ],
)
def test_the_texts_of_a_prompt(fields: dict[str, object], said: str) -> None:
    raw = {name: Raw(json.dumps(value).encode()) for name, value in fields.items()}
    assert list(texts(readable(NONE, raw))) == [said]
    assert question(readable(NONE, raw)) == said
    assert list(texts(readable(KNOWN, raw))) == [said, "Hello"]
    assert question(readable(KNOWN, raw)) == "Hello"
