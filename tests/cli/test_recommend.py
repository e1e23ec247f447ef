"""`weebill recommend`, which measures the real model."""

import contextlib
import io
import json
import re

import msgspec

from weebill.cli.recommend import better, recommend
from weebill.config.load import Sources
from weebill.config.schema import LocalSettings
from weebill.models.recommend import Measured


def test_this_machine_is_measured(weebill, compact_model):
    weebill.env["WEEBILL_LOCAL_MODELS_DIR"] = str(compact_model)
    found = json.loads(weebill.ok("recommend", "--json"))
    assert all(each["tokens_per_s"] > 0 and each["memory"] > 0 for each in found)
    assert sum(each["recommended"] for each in found) <= 1
    refused = weebill("recommend", "--latency", "soon")
    assert (refused.returncode, "such as 200ms" in refused.stderr) == (1, True)
    assert "one of chat, code" in weebill("recommend", "--task", "cooking").stderr


def test_static_vectors_are_not_rated_by_their_size(weebill, compact_model, monkeypatch):
    monkeypatch.setattr("weebill.cli.recommend._measure", lambda *_: Measured(98_362_432, 235.0, 45.0))
    sources = Sources(weebill.home, weebill.env | {"WEEBILL_LOCAL_MODELS_DIR": str(compact_model)}, {})
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        recommend(sources, "embed", None, True)
    found = {each["name"]: each for each in json.loads(shown.getvalue())}
    potion = found["potion:8m"]
    assert (potion["static"], potion["mteb"], potion["tokens_per_s"], potion["first_token_s"]) == (
        True, 51.08, None, None,
    )  # fmt: skip
    [best] = [each for each in found.values() if each["recommended"]]
    assert not best["static"]
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        recommend(sources, "embed", "1 ms", False)
    [line] = [line for line in shown.getvalue().splitlines() if line.startswith("potion:8m")]
    assert "looked up" in line
    assert "51.1" in line
    assert "For embed: potion:8m" in shown.getvalue()


def test_the_first_start_names_a_better_model_with_its_size_and_speed(weebill, compact_model, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    quiet = Measured(98_362_432, 235.0, 45.0)  # two cores that nobody else uses
    monkeypatch.setattr("weebill.cli.recommend._measure", lambda *_: quiet)
    local = LocalSettings(models_dir=str(compact_model))
    sources = Sources(weebill.home, weebill.env, {})
    found = better(sources, local)
    assert re.fullmatch(r"weebill pull \S+  # [\d.]+ [MG]B, about \d+ tokens/s here", found)
    assert better(sources, msgspec.structs.replace(local, memory_mb=1)) == ""
    assert better(sources, msgspec.structs.replace(local, models_dir=str(weebill.home.root))) == ""


def test_it_names_none_where_the_hub_may_not_be_asked(weebill, compact_model, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert better(Sources(weebill.home, weebill.env, {}), LocalSettings(models_dir=str(compact_model))) == ""
