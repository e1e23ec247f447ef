"""Images from clients' own libraries to a model of this machine that reads them, through a whole installation."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Final

import anthropic
import httpx
import ollama
import openai
import pytest
from google import genai
from google.genai import types
from PIL import Image

from tests.e2e.installation import Installation, installation
from tests.fixtures.vision import image_tokens, write_model, write_projector
from tests.images.pictures import BLUE, data_url, in_base64, plain, written
from weebill.models.pull import add_file
from weebill.models.store import ModelStore

MODEL: Final = "tiny:eyes"
PHOTO: Final = written(plain(300, 200, BLUE), "JPEG")
CONFIG: Final = f'[local]\nmodels = ["{MODEL}"]\n[local.engine]\ncontext = 1024\nparallel = 1\n'
ASKED: Final = "Hi"


@pytest.fixture(scope="module")
def weebill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("images")
    model, projector = write_model(folder / "tiny.gguf"), write_projector(folder / "mmproj.gguf")
    add_file(ModelStore(folder / "models"), MODEL, model, projector=projector)
    with installation(folder / "home", folder / "models", CONFIG) as running:
        yield running


def by_chat(weebill: Installation, image: bool) -> int:
    client = openai.OpenAI(base_url=f"{weebill.url}/v1", api_key=weebill.key, max_retries=0)
    shown = [{"type": "image_url", "image_url": {"url": data_url(PHOTO, "image/jpeg"), "detail": "low"}}] * image
    answer = client.chat.completions.create(
        model=MODEL,
        max_tokens=4,
        messages=[{"role": "user", "content": [{"type": "text", "text": ASKED}, *shown]}],  # type: ignore[list-item]
    )
    assert answer.usage is not None
    return answer.usage.prompt_tokens


def by_responses(weebill: Installation, image: bool) -> int:
    client = openai.OpenAI(base_url=f"{weebill.url}/v1", api_key=weebill.key, max_retries=0)
    shown = [{"type": "input_image", "image_url": data_url(PHOTO, "image/jpeg"), "detail": "auto"}] * image
    answer = client.responses.create(
        model=MODEL,
        max_output_tokens=16,
        input=[{"role": "user", "content": [{"type": "input_text", "text": ASKED}, *shown]}],  # type: ignore[list-item]
    )
    assert answer.usage is not None
    return answer.usage.input_tokens


def by_messages(weebill: Installation, image: bool) -> int:
    client = anthropic.Anthropic(base_url=f"{weebill.url}/anthropic", api_key=weebill.key, max_retries=0)
    source = {"type": "base64", "media_type": "image/jpeg", "data": in_base64(PHOTO)}
    shown = [{"type": "image", "source": source}] * image
    content = [{"type": "text", "text": ASKED}, *shown]
    answer = client.messages.create(
        model=MODEL,
        max_tokens=4,
        messages=[{"role": "user", "content": content}],  # type: ignore[typeddict-item]
    )
    return answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)


def by_gemini(weebill: Installation, image: bool) -> int:
    options = types.HttpOptions(base_url=weebill.url)
    client = genai.Client(api_key=weebill.key, http_options=options)
    shown = [Image.open(io.BytesIO(PHOTO))] * image
    answer = client.models.generate_content(
        model=MODEL, contents=[ASKED, *shown], config=types.GenerateContentConfig(max_output_tokens=4)
    )
    assert answer.usage_metadata is not None
    return answer.usage_metadata.prompt_token_count or 0


def by_ollama(weebill: Installation, image: bool) -> int:
    client = ollama.Client(host=weebill.url, headers={"authorization": f"Bearer {weebill.key}"})
    message = ollama.Message(role="user", content=ASKED, images=[ollama.Image(value=PHOTO)] * image)
    return client.chat(MODEL, [message], options={"num_predict": 4}).prompt_eval_count or 0


@pytest.mark.parametrize("ask", [by_chat, by_responses, by_messages, by_gemini, by_ollama])
def test_clients_show_images_whose_tokens_are_counted(weebill: Installation, ask) -> None:  # type: ignore[no-untyped-def]
    more = ask(weebill, True) - ask(weebill, False)
    assert image_tokens("mlp") <= more <= image_tokens("mlp") + 40


def test_a_broken_image_is_refused_before_the_model_sees_it(weebill: Installation) -> None:
    client = openai.OpenAI(base_url=f"{weebill.url}/v1", api_key=weebill.key, max_retries=0)
    shown = {"type": "image_url", "image_url": {"url": data_url(PHOTO[:200], "image/jpeg")}}
    with pytest.raises(openai.BadRequestError) as refused:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": [shown]}])  # type: ignore[list-item]
    assert refused.value.param == "messages[0].content[0].image_url"


def test_it_is_said_that_the_model_reads_images(weebill: Installation) -> None:
    row = next(line.split() for line in weebill.weebill("list").splitlines() if line.startswith(MODEL))
    assert row[1:4] == ["this", "machine", "vision"]
    shown = json.loads(weebill.weebill("show", MODEL, "--json"))
    assert shown["task"] == "vision"
    assert [each["role"] for each in shown["files"]] == ["model", "projector"]
    headers = {"authorization": f"Bearer {weebill.key}"}
    told = httpx.post(f"{weebill.url}/api/show", json={"model": MODEL}, headers=headers, timeout=60).json()
    assert "vision" in told["capabilities"]
