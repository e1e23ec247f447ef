"""Vertex AI: the Gemini API's bodies under other paths, with labels."""

import json

import pytest
from msgspec import Raw

from weebill.providers.base import Target
from weebill.providers.fit import Fit
from weebill.providers.gemini.dialect import GEMINI_DIALECT
from weebill.providers.gemini.vertex import VERTEX_DIALECT
from weebill.wire.conversation import Conversation, Text, Turn

HELLO = Conversation(
    turns=(Turn("user", (Text("Hello"),)),),
    hints={"labels": Raw(b'{"team":"a"}'), "serviceTier": Raw(b'"flex"'), "user": Raw(b'"u"')},
)


@pytest.mark.parametrize(
    ("model", "options", "stream", "path"),
    [
        (
            "gemini-2.5-flash",
            {"project": "p", "location": "europe-west4"},
            True,
            "/projects/p/locations/europe-west4/publishers/google/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ),
        (
            "gemini-2.5-flash",
            {"project": "example.com:p"},
            False,
            "/projects/example.com:p/locations/global/publishers/google/models/gemini-2.5-flash:generateContent",
        ),
        ("gemini-2.5-flash", {}, False, "/publishers/google/models/gemini-2.5-flash:generateContent"),
        (
            "endpoints/123",
            {"project": "p", "location": "us-east1"},
            False,
            "/projects/p/locations/us-east1/endpoints/123:generateContent",
        ),
    ],
)
def test_paths(model: str, options: dict[str, str], stream: bool, path: str) -> None:
    request = VERTEX_DIALECT.encode(HELLO, Target(model=model, options=options), Fit(), stream=stream)
    assert request.path.decode() == path


def test_each_takes_the_hints_that_it_knows() -> None:
    contents = [{"role": "user", "parts": [{"text": "Hello"}]}]
    target = Target(model="gemini-2.5-flash")
    vertex = json.loads(VERTEX_DIALECT.encode(HELLO, target, Fit(), stream=False).body)
    gemini = json.loads(GEMINI_DIALECT.encode(HELLO, target, Fit(), stream=False).body)
    assert vertex == {"contents": contents, "labels": {"team": "a"}}
    assert gemini == {"contents": contents, "serviceTier": "flex"}
