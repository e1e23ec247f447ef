"""Who may import whom, and what must stay out of processes that are to be small or quick to start."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Set
from pathlib import Path

import pytest

import weebill
from tests.rows import every
from tests.sources import source_of

ROOT = Path(weebill.__file__).parent

# From the top down: a package may import only packages of lower layers.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("supervisor",),
    ("gateway", "control", "engine", "ledger", "learner", "discovery", "factory"),
    ("storage",),
    ("auto", "cache", "accounts", "usage", "billing"),
    ("limits",),
    ("routing", "apis", "providers"),
    ("transport", "telemetry", "shared", "models", "images"),
    ("wire", "process", "config"),
    ("catalog",),
)
# Within a layer, these alone.
SIDEWAYS = {("routing", "providers"), ("process", "config")}
RANK = {package: rank for rank, layer in enumerate(LAYERS) for package in layer}

MOST_LINES = 400

# What a process must not have loaded once its main module has been imported.
HEAVY = (
    *("fastapi", "starlette", "typer", "rich", "pydantic", "xllamacpp", "uvicorn", "websockets", "httpx", "httpx2"),
    *("huggingface_hub", "redis", "numpy", "scipy", "matplotlib", "brotli", "backports.zstd", "jsonschema_rs", "PIL"),
    "tokenizers",
)
HEAVY_FOR_HELP = (
    *(name for name in HEAVY if name != "typer"),
    *("asyncio", "uvloop", "httptools", "msgspec", "sqlite3", "ssl", "weebill.config.load", "weebill.supervisor"),
)
# Standing in for the supervisor: modules are imported as `python -m` would import them, and go no further.
IMPORTS_OF = """
import json, sys
{statement}
print(json.dumps(sorted(sys.modules)))
"""


def imports(path: Path) -> set[str]:
    """The packages of ours that a module imports."""
    return {name.split(".")[1] for name in source_of(path).imported if name.startswith("weebill.")} - {"__version__"}


def package_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


MODULES = [path for path in sorted(ROOT.rglob("*.py")) if path != ROOT / "__init__.py"]


def test_every_package_has_its_layer():
    assert {package_of(path) for path in MODULES} == set(RANK)


@every("path", MODULES)
def test_a_module_imports_only_lower_layers(path):
    package = package_of(path)
    wrong = {
        other
        for other in imports(path) - {package}
        if RANK[other] <= RANK[package] and (package, other) not in SIDEWAYS
    }
    assert not wrong, f"{path.relative_to(ROOT)} must not import {', '.join(sorted(wrong))}"


@every("path", [path for path in MODULES if package_of(path) in ("supervisor", "gateway", "engine", "factory")])
def test_storage_is_for_those_who_keep_the_ledger(path):
    assert "storage" not in imports(path), f"{path.relative_to(ROOT)} must ask the ledger process"


@every("path", [path for path in MODULES if package_of(path) != "storage"])
def test_storage_alone_knows_its_database(path):
    assert "sqlite3" not in source_of(path).imported, f"{path.relative_to(ROOT)} must ask `weebill.storage`"


@every("path", MODULES)
def test_a_module_is_read_in_one_sitting(path):
    lines = len(path.read_text().splitlines())
    assert lines <= MOST_LINES, f"{path.relative_to(ROOT)} has {lines} lines: split it by idea"


def module_name(path: Path) -> str:
    return ".".join(("weebill", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__")


Graph = Mapping[str, Set[str]]


def module_graph() -> Graph:
    """Each module with those that it imports."""
    paths = {module_name(path): path for path in MODULES}

    def module(name: str) -> str:
        return name if name in paths else name.rpartition(".")[0]

    return {
        name: {module(each) for each in source_of(path).imported} & paths.keys() - {name}
        for name, path in paths.items()
    }


def graph_within(folder: str, modules: Graph) -> Graph:
    """The imports among what lies in `folder` directly: its modules, and its folders, each taken as one."""
    parts = folder.count(".") + 2

    def members(names: Set[str]) -> set[str]:
        return {".".join(name.split(".")[:parts]) for name in names if name.startswith(f"{folder}.")}

    found: dict[str, set[str]] = {}
    for name in modules:
        for member in members({name}):
            found.setdefault(member, set()).update(members(modules[name]) - {member})
    return found


def circles(graph: Graph) -> list[list[str]]:
    """The strongly connected components of more than one node, with their members in order."""
    rest = dict(graph)
    while ends := [node for node in rest if not graph[node] & rest.keys()]:
        for node in ends:
            del rest[node]
    reached = {}
    for start in rest:
        found: set[str] = set()
        ahead = [start]
        while ahead:
            further = graph[ahead.pop()] & rest.keys() - found
            found |= further
            ahead += further
        reached[start] = found
    components = {frozenset(node for node in reached[start] if start in reached[node]) for start in rest}
    return sorted(sorted(component) for component in components if component)


def described(circle: list[str], graph: Graph) -> str:
    return "; ".join(f"{name} imports {', '.join(sorted(graph[name] & set(circle)))}" for name in circle)


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}, "c": set()}, []),
        ({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}, "d": set()}, []),
        ({"a": {"b"}, "b": {"a"}}, [["a", "b"]]),
        ({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set(), "e": {"a"}}, [["a", "b", "c"]]),
        ({"a": {"b"}, "b": {"a", "c"}, "c": {"d"}, "d": {"c"}}, [["a", "b"], ["c", "d"]]),
    ],
    ids=["chain", "diamond", "two", "three-and-others", "one-after-another"],
)
def test_circles_are_found(graph, expected):
    assert circles(graph) == expected


def test_modules_import_each_other_in_no_circle():
    graph = module_graph()
    found = [described(circle, graph) for circle in circles(graph)]
    assert not found, "\n".join(found)


def test_folders_import_each_other_in_no_circle():
    modules = module_graph()
    folders = {module_name(path).rpartition(".")[0] for path in MODULES}
    found = []
    for folder in sorted(folders):
        graph = graph_within(folder, modules)
        found += [described(circle, graph) for circle in circles(graph)]
    assert not found, "\n".join(found)


def loaded_by(statement: str) -> set[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WEEBILL_")}
    result = subprocess.run(
        [sys.executable, "-c", IMPORTS_OF.format(statement=statement)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
    )
    assert result.returncode == 0, result.stderr
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_a_worker_loads_nothing_heavy():
    # Without a link, the worker's main ends right after its imports.
    loaded = loaded_by(
        "import runpy\n"
        "try:\n    runpy.run_module('weebill.gateway', run_name='__main__')\n"
        "except SystemExit as exit: assert 'weebill serve' in str(exit)"
    )
    assert {"weebill.gateway.worker", "uvloop", "httptools", "msgspec"} <= loaded
    assert not loaded & {*HEAVY, "sqlite3"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["serve", "--help"], ["keys", "--help"], ["router", "--help"], ["version"]]
)
def test_help_loads_nothing_heavy(arguments):
    loaded = loaded_by(
        f"sys.argv = ['weebill', *{arguments!r}]\n"
        "from weebill.cli import main\n"
        "try:\n    main()\n"
        "except SystemExit as exit: assert exit.code == 0"
    )
    assert "weebill.cli.app" in loaded
    assert not loaded & set(HEAVY_FOR_HELP)
