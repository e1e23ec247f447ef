"""What runs gave, kept beside the programs, and the table of it for the documentation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

from tests.clients import places
from tests.clients.programs import PROGRAMS
from tests.clients.target import Step
from tests.emulator.server import DIALECTS

LOCAL: Final = "local"
TARGETS: Final = (*DIALECTS, LOCAL)
KEPT: Final = places.INSTALLED / "results"


def keep(program: str, target: str, steps: list[Step], dropped: Iterable[str]) -> None:
    """Write down a run; `dropped` are what its answers' records say."""
    KEPT.mkdir(parents=True, exist_ok=True)
    names = sorted({re.sub(r"\[\d+\]", "[]", name.strip()) for each in dropped for name in each.split(",") if name})
    result = {"steps": {step.name: step.problem for step in steps}, "dropped": names}
    (KEPT / f"{program}-to-{target}.json").write_text(json.dumps(result, indent=1))


def table() -> str:
    """The last run of each program against each target: how many steps, and what is passed over."""
    results = {(program, target): _read(program, target) for program in PROGRAMS for target in TARGETS}
    heads = ["program", *TARGETS]
    rows = [heads, ["---", *("---" for _ in TARGETS)]]
    for name, program in PROGRAMS.items():
        rows.append([_named(program.shown, program.packages), *(_cell(results[name, target]) for target in TARGETS)])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines += ["", "| program | is passed over, and where |", "| --- | --- |"]
    for name, program in PROGRAMS.items():
        where: dict[str, list[str]] = {}
        for target in TARGETS:
            for field in (results[name, target] or {}).get("dropped", ()):
                where.setdefault(field, []).append(target)
        said = "; ".join(f"`{field}` ({_places(where[field])})" for field in sorted(where))
        lines.append(f"| {program.shown} | {said or 'nothing'} |")
    return "\n".join(lines)


def _read(program: str, target: str) -> dict[str, Any] | None:
    path = KEPT / f"{program}-to-{target}.json"
    return json.loads(path.read_bytes()) if path.exists() else None


def _cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return "not run"
    problems = [name for name, problem in result["steps"].items() if problem]
    return f"fails: {', '.join(problems)}" if problems else f"✓ {len(result['steps'])}"


def _places(targets: list[str]) -> str:
    return "everywhere" if len(targets) >= len(DIALECTS) - 1 else ", ".join(targets)


def _named(shown: str, packages: tuple[str, ...]) -> str:
    versions = _versions()
    return f"{shown} {' / '.join(versions[package] for package in packages)}".strip()


def _versions() -> dict[str, str]:
    """The pinned version of each package."""
    found: dict[str, str] = json.loads((places.HERE / "node" / "package.json").read_bytes())["dependencies"]
    for path in places.LISTS.values():
        lines = (line.partition("==") for line in path.read_text().splitlines())
        found = {**{name: version for name, _, version in lines}, **found}
    return found
