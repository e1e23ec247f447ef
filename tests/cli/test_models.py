"""`weebill pull`, `list`, `show`, `cp` and `rm`, against a hub on loopback."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import gguf
import numpy as np
import pytest

from tests.models.hub import Hub, Repo, serving

REPO = "maker/Tiny-GGUF"
NAME = f"hf:{REPO}"
# For files that are not models: no engine of ours tries them.
UNTRIED = {"WEEBILL_LOCAL_ENGINE_ENGINE": "llama-server"}


@pytest.fixture(autouse=True)
def untried(weebill) -> None:
    weebill.env.update(UNTRIED)


@pytest.fixture
def hub(weebill) -> Iterator[Hub]:
    with serving() as running:
        weebill.env["HF_ENDPOINT"] = running.origin
        weebill.env["HF_TOKEN_PATH"] = str(weebill.home.root / "no-token")
        weebill.env.pop("HF_TOKEN", None)
        yield running


@pytest.fixture
def content(tmp_path) -> bytes:
    path = tmp_path / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_file_type(7)
    writer.add_context_length(40_960)
    writer.add_embedding_length(64)
    writer.add_chat_template("{{ messages }}")
    writer.add_tensor("a", np.frombuffer(random.Random(7).randbytes(64 * 1000 * 4), dtype=np.float32).reshape(1000, 64))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def rows(said: str) -> list[list[str]]:
    return [line.split() for line in said.splitlines()]


def test_a_model_from_pull_to_rm(weebill, hub, content):
    hub.repos[REPO] = Repo({"Tiny-Q8_0.gguf": content})
    result = weebill("pull", NAME)
    assert result.returncode == 0
    said = result.stderr.splitlines()
    assert said[0] == f"{NAME}: {len(content) // 1000} kB, under Apache-2.0"
    assert f"Downloading Tiny-Q8_0.gguf: {len(content) // 1000} kB of {len(content) // 1000} kB" in said
    assert said[-1].startswith(f"{NAME} was not tried: models are served by llama-server")
    assert f"{NAME} is in " in result.stdout
    assert f"Start `weebill serve`, then `weebill run {NAME}` talks to it" in result.stdout
    assert any(row[:3] == [NAME, "this", "machine"] and "Apache-2.0" in row for row in rows(weebill.ok("ls")))

    shown = weebill.ok("show", NAME)
    for fact in (
        ["source", NAME],
        ["licence", "Apache-2.0"],
        ["architecture", "qwen3"],
        ["parameters", "64k"],
        ["context", "40,960", "tokens"],
        ["embedding", "64", "dimensions"],
        ["quantization", "Q8_0"],
        ["chat", "template", "yes"],
    ):
        assert fact in rows(shown)
    assert "Tiny-Q8_0.gguf" in shown
    told = json.loads(weebill.ok("show", f"hf.co/{REPO}", "--json"))
    assert (told["context"], told["parameters"], told["files"][0]["size"]) == (40_960, 64_000, len(content))
    assert not told["files"][0]["in_place"]

    assert "no further space" in weebill.ok("cp", NAME, "tiny:mine")
    assert "another name or program has" in weebill.ok("rm", NAME)
    assert json.loads(weebill.ok("show", "tiny:mine", "--json"))["source"] == NAME
    assert "kB are free" in weebill.ok("rm", "tiny:mine")
    assert f"weebill pull {NAME}" in weebill.fails(1, "show", NAME)


def test_a_projector_is_added_with_its_model(weebill, content, tmp_path):
    file = tmp_path / "tiny.gguf"
    assert weebill("pull", "mine", "--from", str(file), "--projector", str(file)).returncode == 0
    assert next(row for row in rows(weebill.ok("list")) if row[0] == "mine")[1:4] == ["this", "machine", "vision"]
    assert ["for", "vision"] in rows(weebill.ok("show", "mine"))
    assert "weebill pull NAME --from FILE" in weebill.fails(1, "pull", "mine", "--projector", str(file))


def test_show_knows_aliases_and_the_catalogue(weebill, hub, content, tmp_path):
    weebill.home.config_file.write_text("[local]\nmodels = ['mine']\n")
    weebill("pull", "mine", "--from", str(tmp_path / "tiny.gguf"))
    assert json.loads(weebill.ok("show", "mini", "--json"))["name"] == "mine"
    assert "open weights" in weebill.ok("show", "gpt-5-mini") or "gpt-5-mini" in weebill.ok("show", "gpt-5-mini")
    assert "there is no model 'nobody'" in weebill.fails(1, "show", "nobody")
    assert "weebill pull minilm:l6-v2" in weebill.fails(1, "show", "minilm")


def test_terms_are_asked_for(weebill, hub, content):
    hub.repos[REPO] = Repo({"Tiny-Q8_0.gguf": content}, card={"license": "llama3.2"})
    said = weebill("pull", NAME)
    assert said.returncode == 1
    assert "Llama 3.2 Community License (https://www.llama.com/" in said.stderr
    assert f"weebill pull {NAME} --accept-license" in said.stderr
    assert hub.sent == 0
    assert weebill.ok("pull", NAME, "--accept-license", "--quiet").endswith("Tiny-Q8_0.gguf\n")


@pytest.mark.parametrize("typed", ["y\n", "n\n"])
def test_on_a_terminal_terms_are_asked_for_and_a_bar_is_shown(weebill, hub, content, typed):
    hub.repos[REPO] = Repo({"Tiny-Q8_0.gguf": content}, card={"license": "gemma"})
    if typed == "n\n":
        with pytest.raises(AssertionError, match="accept-license"):
            weebill.on_terminal("pull", NAME, typed=typed)
        assert hub.sent == 0
        return
    seen = weebill.on_terminal("pull", NAME, typed=typed)
    assert "Do you accept the terms of https://ai.google.dev/gemma/terms?" in seen
    assert "Downloading Tiny-Q8_0.gguf" in seen


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("pull", "owner/repo"), "begins with its source"),
        (("pull", "nobody:7b"), "weebill list --known"),
        (("pull", "hf:maker/none"), "HF_TOKEN"),
        (("pull", f"{NAME}:Q9_9"), "Q8_0"),
        (("cp", "nobody", "x"), "weebill pull nobody"),
        (("rm", "nobody"), "weebill pull nobody"),
    ],
)
def test_what_fails_says_what_to_do(weebill, hub, content, arguments, said):
    hub.repos[REPO] = Repo({"Tiny-Q8_0.gguf": content})
    assert said in weebill.fails(1, *arguments)


def test_known_models_are_listed(weebill):
    listed = rows(weebill.ok("list", "--known"))
    assert listed[0][:3] == ["NAME", "FOR", "PARAMETERS"]
    assert any(row[:6] == ["smollm2:135m", "chat", "135M", "98", "MB", "8,192"] for row in listed)
    assert "smollm2:135m" in weebill.ok("list", "--known", "--quiet").split()


def test_nothing_but_a_pull_reaches_the_hub(weebill, hub, content):
    hub.repos[REPO] = Repo({"Tiny-Q8_0.gguf": content})
    for arguments in (("list",), ("list", "--known"), ("models", "--local"), ("config", "check")):
        weebill.ok(*arguments)
    weebill("show", NAME)
    weebill("rm", NAME)
    assert hub.asked == []
