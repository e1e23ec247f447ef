"""`weebill recommend`, which measures the real model."""

import json
import re

import msgspec

from weebill.cli.recommend import better
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
