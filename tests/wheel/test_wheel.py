"""The wheel is what `pyproject.toml` says, and behaves as the sources do."""

from __future__ import annotations

import json
import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

from hatch_build import VIEWS_AT_ONCE, beginning, compiled_modules, together
from tests.wheel.conftest import BUILD_S, PARTS, ROOT, Wheel

pytestmark = pytest.mark.wheel
SUFFIX = EXTENSION_SUFFIXES[0]
HOOK = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
COMPILED = compiled_modules(ROOT, HOOK["custom"]["compile"], HOOK["custom"]["interpreted"])
LOADERS = """
import importlib, json, sys
print(json.dumps({name: type(importlib.import_module(name).__loader__).__name__ for name in sys.argv[1:]}))
"""

# Tests of the hot path that go over real sockets, and of what translates. One that passes a fake cannot pass: a
# compiled function takes its own kind alone. What is left out says nothing more of the hot path, and takes long: waits
# and memory are the same, a whole installation is one whatever is asked of it, and what is asked of a function in more
# ways is not compiled otherwise. Each start of pytest takes seconds.
TRANSPORT = ("cancellation", "client", "drain", "malformed", "parser", "pool", "server", "socks", "tls", "tunnel")
GATEWAY = ("auto", "inference", "resuming", "worker_died")
RELAYED = (
    *("completions_too", "connections_to_the_upstream_are_reused", "a_stream_is_relayed_as_it_comes"),
    "a_cut_stream_ends_in_an_error_event",
)
SDK = ("streaming", "leaving_a_stream", "errors_are_the_sdks_own")
SUITES = {
    "socket to record": {
        "from socket to record": [
            *(f"tests/transport/test_{name}.py" for name in TRANSPORT),
            "tests/wire",
            *(f"tests/usage/test_{name}.py" for name in ("intents", "journal")),
            "tests/telemetry/test_counters.py",
            *(f"tests/gateway/test_inference.py::test_{name}" for name in RELAYED),
            *("-k", "not endless_pipelining"),
        ],
    },
    "all": {
        "transport, recorded and stored": [
            *("tests/transport", "tests/recorded/test_answers.py", "tests/recorded/test_requests.py"),
            "tests/usage/test_entries.py",
        ],
        "gateway and python sdk": [
            *(f"tests/gateway/test_{name}.py" for name in GATEWAY),
            *(f"tests/e2e/test_sdk_python.py::test_{name}" for name in SDK),
        ],
        "all chat by sdk": ["tests/e2e/test_sdk_python.py", "-k", "chat or streaming or streamed or leaving or errors"],
        "chaos": ["tests/e2e/test_chaos.py"],
    },
}
# The same of a part, and of all in a quarter of an hour.
MARKS = {"socket to record": (), "all": pytest.mark.slow}
EACH = pytest.mark.parametrize("wheel", [pytest.param(part, marks=MARKS[part]) for part in PARTS], indirect=True)
EACH_SUITE = pytest.mark.parametrize(
    ("wheel", "suite"),
    [pytest.param(part, suite, marks=MARKS[part]) for part, suites in SUITES.items() for suite in suites],
    indirect=["wheel"],
)


def compiled_in(part: str) -> list[str]:
    return beginning([*PARTS[part]], COMPILED)


def test_every_pattern_finds_a_file(tmp_path: Path) -> None:
    assert "weebill/transport/connection.py" in COMPILED
    assert "weebill/wire/errors.py" not in COMPILED
    (tmp_path / "weebill").mkdir()
    with pytest.raises(ValueError, match=r"no file of weebill is called 'wire/sse\.py'"):
        compiled_modules(tmp_path, ["wire/sse.py"], [])


def test_modules_that_begin_alike_are_in_files_of_their_own() -> None:
    names = [name.removesuffix(".py").replace("/", ".") for name in COMPILED]
    files = together(names)
    assert sorted(name for file in files for name in file) == sorted(names)
    for file in files:
        assert len({name.removesuffix(".__init__").rpartition(".")[2] for name in file}) == len(file) <= VIEWS_AT_ONCE
    assert len(files) < len(names) / 8
    assert together(["a.b", "a.b.__init__", "a.c"]) == [["a.b", "a.c"], ["a.b.__init__"]]


def test_the_compiler_is_the_pinned_one() -> None:
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    assert set(HOOK["custom"]["dependencies"]) <= set(pinned)
    assert any(each.startswith("mypy==") for each in HOOK["custom"]["dependencies"])


@EACH
@pytest.mark.timeout(BUILD_S)
def test_it_holds_the_hot_path_compiled_and_the_sources_stay_as_they_are(wheel: Wheel) -> None:
    assert not wheel.name.endswith("-none-any.whl")
    extensions = {str(path.relative_to(wheel.folder)) for path in wheel.folder.rglob(f"*{SUFFIX}")}
    library = f"weebill/native__mypyc{SUFFIX}"
    assert extensions == {name.removesuffix(".py") + SUFFIX for name in compiled_in(wheel.part)} | {library}
    assert not [path for path in (ROOT / "weebill").rglob("*") if path.suffix in (".so", ".c")]


@EACH
def test_the_compiled_modules_are_those_imported(wheel: Wheel) -> None:
    names = [name.removesuffix(".py").replace("/", ".") for name in compiled_in(wheel.part)]
    done = wheel.python("-c", LOADERS, *names)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == dict.fromkeys(names, "ExtensionFileLoader")


@EACH
def test_it_says_so(wheel: Wheel) -> None:
    assert wheel.python("-m", "weebill", "--version").stdout.endswith(" (compiled: yes)\n")


@pytest.mark.timeout(BUILD_S)
@EACH_SUITE
def test_it_behaves_as_the_sources_do(wheel: Wheel, suite: str) -> None:
    done = wheel.python(
        *("-m", "pytest", "--import-mode=append", "-p", "tests.wheel.only_compiled", "-p", "no:cacheprovider"),
        *("-q", "--no-header", *SUITES[wheel.part][suite]),
        timeout_s=BUILD_S,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
