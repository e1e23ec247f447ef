"""The files for deployments are as the documentation says: Compose's form, and a configuration that loads."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from weebill.config.load import Sources, load
from weebill.config.paths import Home

FOLDER = Path(__file__).parent.parent / "deploy" / "servers"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())


def test_images_are_pinned_to_releases() -> None:
    images = [each["image"] for each in COMPOSE["services"].values() if "image" in each]
    assert len(images) == 2
    assert all(re.search(r":v\d+\.\d+\.\d+\Z", image) for image in images)


def test_the_configuration_names_the_services() -> None:
    settings = load(Sources(Home(FOLDER), {}, {}, FOLDER / "weebill.toml")).settings
    assert {name: each.base_url for name, each in settings.providers.items()} == {
        "vllm": "http://vllm:8000/v1",
        "sglang": "http://sglang:30000/v1",
    }
    assert settings.providers.keys() <= COMPOSE["services"].keys()


def test_volumes_are_declared_and_files_are_there() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (FOLDER / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
    built = COMPOSE["services"]["weebill"]["build"]
    assert (FOLDER / built["context"] / built["dockerfile"]).exists()
