"""Every program against every target: `make clients`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from tests.clients.programs import PROGRAMS
from tests.clients.results import LOCAL, TARGETS, keep
from tests.clients.target import Target
from tests.e2e.installation import Installation, installation
from tests.emulator.running import Gateway, running_gateway
from weebill.usage.records import UsageRecord

pytestmark = [pytest.mark.clients, pytest.mark.timeout(900)]


@dataclass
class Reached:
    """A target, and the home of the Weebill before it."""

    target: Target
    home: Path

    def dropped(self) -> list[str]:
        """What the record of each request so far says to be passed over."""
        lines = b"".join(path.read_bytes() for path in sorted((self.home / "journal").glob("*.jsonl")))
        records = [msgspec.json.decode(line, type=UsageRecord) for line in lines.replace(b"\0", b"").splitlines()]
        return [record.dropped for record in records]


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running_gateway(tmp_path_factory.mktemp("emulated") / "home") as running:
        yield running


@pytest.fixture(scope="session")
def weebill(tmp_path_factory: pytest.TempPathFactory, compact_model: Path) -> Iterator[Installation]:
    with installation(tmp_path_factory.mktemp("local") / "home", compact_model, forked=False) as running:
        yield running


@pytest.fixture
def reached(request: pytest.FixtureRequest) -> Reached:
    name: str = request.param
    if name == LOCAL:
        local: Installation = request.getfixturevalue("weebill")
        return Reached(Target(name, local.url, local.key, "mini", free=True), local.home)
    gateway: Gateway = request.getfixturevalue("emulated")
    return Reached(Target(name, gateway.url, gateway.key, f"{name}-emulated"), gateway.worker.home.root)


CASES = [
    pytest.param(program, target, id=f"{program}-to-{target}") for program in PROGRAMS for target in TARGETS
]  # fmt: skip


@pytest.mark.parametrize(("program", "reached"), CASES, indirect=["reached"])
def test_a_program(program: str, reached: Reached, tmp_path: Path) -> None:
    before = len(reached.dropped())
    (tmp_path / "home").mkdir()
    steps = PROGRAMS[program].run(reached.target, tmp_path / "home")
    keep(program, reached.target.name, steps, reached.dropped()[before:])
    assert steps
    assert not {step.name: step.problem for step in steps if step.problem}
