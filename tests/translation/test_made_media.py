"""Images that models drew and words that they spoke, told to whoever answers next."""

from __future__ import annotations

import json

import pytest

from tests.translation.targets import target
from tests.translation.test_histories import DIALECTS
from tests.translation.test_noise import APIS
from weebill.gateway.translation import Bridge, translator
from weebill.providers.registry import dialect as registry_dialect

DRAWN = {
    "responses": {
        "model": "m",
        "input": [
            {"role": "user", "content": "draw"},
            {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGVsbG8="},
            {"role": "user", "content": "thanks"},
        ],
    },
    "gemini": {
        "contents": [
            {"role": "user", "parts": [{"text": "draw"}]},
            {"role": "model", "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGVsbG8="}}]},
            {"role": "user", "parts": [{"text": "thanks"}]},
        ]
    },
}


@pytest.mark.parametrize("api", DRAWN)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_image_that_a_model_made_is_shown_to_the_next(api: str, dialect: str) -> None:
    call = APIS[api].decode(json.dumps(DRAWN[api]).encode(), {}, "m:generateContent" if api == "gemini" else "")
    sent = translator(APIS[api], dialect, frozenset()).encode(call, target(dialect))
    assert b"thanks" in sent.body
    if dialect == "llamacpp":
        assert sent.dropped == ("images",)
    else:
        assert b"aGVsbG8=" in sent.body
        assert sent.dropped == ()


def spoken(audio: object, **gemini: object) -> dict[str, object]:
    """A history in which a model spoke."""
    return {
        "chat": {
            "model": "m",
            "messages": [
                {"role": "user", "content": "speak"},
                {"role": "assistant", "content": None, "audio": audio},
                {"role": "user", "content": "thanks"},
            ],
        },
        "gemini": {
            "contents": [
                {"role": "user", "parts": [{"text": "speak"}]},
                {"role": "model", "parts": [gemini]},
                {"role": "user", "parts": [{"text": "thanks"}]},
            ]
        },
    }


PCM = {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": "AAECAw=="}


@pytest.mark.parametrize("api", ["chat", "gemini"])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("words", ["Hello there.", ""])
def test_what_a_model_spoke_is_told_to_the_next(api: str, dialect: str, words: str) -> None:
    # As OpenAI's and Google's SDKs echo it.
    audio = {"id": "audio_1", "data": PCM["data"], "expires_at": 1, "transcript": words}
    body = spoken(audio, inlineData=PCM, **({"audioTranscription": {"text": words}} if words else {}))[api]
    call = APIS[api].decode(json.dumps(body).encode(), {}, "m:generateContent" if api == "gemini" else "")
    sent = Bridge(APIS[api], registry_dialect(dialect), dialect).encode(call, target(dialect))
    heard = dialect in ("gemini", "vertex")
    by_id = api == "chat" and dialect in ("openai", "azure")
    assert b"thanks" in sent.body
    assert (PCM["data"].encode() in sent.body) == heard
    assert (b'"audio":{"id":"audio_1"}' in sent.body) == by_id
    assert (b"Hello there." in sent.body) == (bool(words) and not by_id)
    assert sent.dropped == (() if heard or by_id or words else ("messages.audio",))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_a_model_spoke_and_only_its_provider_keeps_is_passed_over(dialect: str) -> None:
    call = APIS["chat"].decode(json.dumps(spoken({"id": "audio_1"})["chat"]).encode(), {}, "")
    sent = Bridge(APIS["chat"], registry_dialect(dialect), dialect).encode(call, target(dialect))
    assert sent.dropped == (() if dialect in ("openai", "azure") else ("messages.audio",))
