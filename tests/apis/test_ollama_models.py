"""Models as Ollama's clients see them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import UNSET

from weebill.apis.ollama.models import Known, ps, show, tags
from weebill.wire.models import ModelCard

CARD = ModelCard("large", 1_700_000_000, "openai", name="Large", context_length=128_000, kind="chat")
BARE = ModelCard("bare", 1_700_000_000, "acme")


def listed(*known: Known) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(tags(known))["models"]
    return found


def test_the_list() -> None:
    [known, bare] = listed(Known(CARD, tools=True), Known(BARE))
    digest = known.pop("digest")
    assert known == {
        "name": "large", "model": "large", "modified_at": "2023-11-14T22:13:20Z", "size": 0,
        "details": {
            "parent_model": "", "format": "", "family": "openai", "families": ["openai"], "parameter_size": "",
            "quantization_level": "", "context_length": 128_000,
        },
        "capabilities": ["completion", "tools"],
    }  # fmt: skip
    assert (bare["capabilities"], "context_length" in bare["details"]) == (["completion"], False)
    # Clients cut it, and tell models apart by it.
    assert len(digest) == 64
    assert digest[:12] != bare["digest"][:12]


def test_details() -> None:
    shown = json.loads(show(Known(CARD, tools=True, vision=True, thinking=True)))
    assert shown["model_info"] == {
        "general.architecture": "openai", "general.basename": "Large", "openai.context_length": 128_000,
    }  # fmt: skip
    assert shown["capabilities"] == ["completion", "vision", "tools", "thinking"]
    assert shown["parameters"] == "num_ctx 128000"
    assert json.loads(show(Known(BARE)))["model_info"] == {
        "general.architecture": "acme", "general.basename": "bare",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "capabilities"),
    [("chat", ["completion"]), (UNSET, ["completion"]), ("embedding", ["embedding"]), ("image", [])],
)
def test_capabilities_by_kind(kind: Any, capabilities: list[str]) -> None:
    card = ModelCard("m", 0, "acme", kind=kind)
    assert listed(Known(card))[0]["capabilities"] == capabilities


def test_what_is_in_memory() -> None:
    running, ends = json.loads(ps([(CARD, 0), (CARD, 1_800_000_000)]))["models"]
    assert ends["expires_at"] == "2027-01-15T08:00:00Z"
    assert (running["model"], running["context_length"], running["size_vram"]) == ("large", 128_000, 0)
    assert running["expires_at"] > "2200"
