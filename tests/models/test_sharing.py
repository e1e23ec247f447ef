"""Which models share a host, and what they add to a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from weebill.config.schema import EngineSettings
from weebill.engine.role import EngineBoot
from weebill.models.needs import Costs
from weebill.models.sharing import shared
from weebill.models.store import Adapter, ServedModel
from weebill.models.templating import Beginning

ONE, TWO = (Adapter(name, Path(name), size) for name, size in (("aa", 5), ("bb", 7)))


def served(**changed: Any) -> ServedModel:
    return ServedModel(**({"path": Path("f"), "files": "f", "costs": Costs(100, 1)} | changed))


def test_one_host_has_all_models_of_a_file() -> None:
    models = {
        "adapted": served(adapters=(TWO,)),
        "brief": served(beginning=Beginning("Be brief.")),
        "copy": served(),
        "mini": served(path=Path("link of another name")),
        "twice": served(adapters=(ONE, TWO)),
    }
    [(name, host)] = shared(models).items()
    assert (name, list(host.members)) == ("copy", ["copy", "mini", "brief", "adapted", "twice"])
    assert host.adapters == (ONE, TWO)
    assert host.costs == Costs(112, 1)
    assert host.beginnings == {"brief": Beginning("Be brief.")}
    assert [host.scales(models[each]) for each in ("mini", "adapted", "twice")] == [(0, 0), (0, 1), (1, 1)]
    # The configured name comes first, even if it adds something.
    assert list(shared(models, {"adapted"})) == ["adapted"]


@pytest.mark.parametrize(
    "other",
    [
        {"files": "g"},
        {"context": 512},
        {"kind": "openvino"},
        # A host is told of one task.
        {"task": "embed"},
        {"task": "rerank"},
        {"chat_template": "{{ messages }}"},
        # Whose files are not known.
        {"files": ""},
    ],
)
def test_what_is_run_in_another_way_has_a_host_of_its_own(other: dict[str, Any]) -> None:
    assert len(shared({"one": served(), "other": served(**other)})) == 2


def test_models_that_make_vectors_share_no_host_with_other_tasks_or_adapters() -> None:
    """An engine knows nothing of adapters in requests for vectors."""
    models = {
        "embeds": served(task="embed"),
        "embeds again": served(task="embed"),
        "rates": served(task="rerank"),
        "adapted": served(task="embed", adapters=(ONE,)),
    }
    assert [list(host.members) for host in shared(models).values()] == [
        ["embeds", "embeds again"],
        ["rates"],
        ["adapted"],
    ]


def test_a_host_can_be_asked_for_what_it_was_told_of() -> None:
    host = shared({"mini": served(), "brief": served(beginning=Beginning("Be brief."))})["mini"]
    assert host.has("mini", served())
    assert host.has("brief", served(beginning=Beginning("Be brief.")))
    assert not host.has("brief", served(beginning=Beginning("Be long.")))
    # It has no need to know the name of a model that adds nothing, or nothing new.
    assert host.has("copy", served())
    assert not host.has("copy", served(beginning=Beginning("Be brief.")))
    assert not host.has("adapted", served(adapters=(ONE,)))
    adapted = shared({"mini": served(), "adapted": served(adapters=(ONE, TWO))})["mini"]
    assert adapted.has("copy", served(adapters=(TWO,)))
    assert not host.has("mini", served(adapters=(ONE,)))


def test_a_host_is_loaded_from_a_file_that_is_there(tmp_path: Path) -> None:
    kept = tmp_path / "kept.gguf"
    kept.touch()
    [host] = shared({"gone": served(path=tmp_path / "gone.gguf"), "kept": served(path=kept)}, {"gone"}).values()
    assert EngineBoot.of("gone", host, EngineSettings(), "key").path == str(kept)
