"""Which dialects there are."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from weebill.catalog.dialects import BUILT_IN, dialects
from weebill.providers import registry


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_dialect_that_can_be_configured_is_there(name: str) -> None:
    assert registry.dialect(name).supported


def test_another_package_adds_a_dialect_by_an_entry_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_dialect.py").write_text(
        "from dataclasses import replace\n"
        "from weebill.providers.openai.dialect import OPENAI_CHAT\n"
        "ACME = replace(OPENAI_CHAT, family='acme')\n"
    )
    package = tmp_path / "acme-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[weebill.dialects]\nacme = acme_dialect:ACME\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert "acme" in dialects()
    assert registry.dialect("acme").family == "acme"
    sys.modules.pop("acme_dialect")


def test_a_dialect_that_nobody_has_is_named() -> None:
    with pytest.raises(LookupError, match="no dialect 'nobodys'"):
        registry.dialect("nobodys")
