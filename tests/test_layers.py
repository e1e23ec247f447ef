"""Who may import whom, and what must stay out of processes that are to be small or quick to start."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import weebill
from tests.rows import every

ROOT = Path(weebill.__file__).parent

# From the top down: a package may import only packages of lower layers.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("supervisor",),
    ("gateway", "control", "engine", "factory"),
    ("auto", "cache", "accounts", "usage"),
    ("routing", "apis", "providers", "storage"),
    ("transport", "telemetry", "shared"),
    ("wire", "process", "config"),
    ("catalog",),
)
# Within a layer, these alone.
SIDEWAYS = {("routing", "providers"), ("process", "config")}
RANK = {package: rank for rank, layer in enumerate(LAYERS) for package in layer}

# What a process must not have loaded once its main module has been imported.
HEAVY = (
    *("fastapi", "starlette", "typer", "rich", "pydantic", "xllamacpp", "uvicorn", "websockets", "httpx"),
    *("redis", "numpy", "scipy", "matplotlib", "brotli", "backports.zstd", "jsonschema_rs"),
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
    """The packages of ours that a module imports, lazily or not, at run time or for types."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found.update(name.split(".")[1] for name in names if name.startswith("weebill."))
    return found - {"__version__"}


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
    assert not loaded & set(HEAVY)


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
