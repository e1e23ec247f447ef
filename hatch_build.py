"""Compiles the hot path with mypyc as the wheel is built, where HATCH_BUILD_HOOK_ENABLE_CUSTOM is set.

`pyproject.toml` says which modules. All of it happens in a temporary copy: an extension module beside its source would
be imported instead of it, however the source is edited.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "weebill"


class CompileHotPath(BuildHookInterface):  # type: ignore[type-arg]
    """Its options are patterns of files in the package: what `compile` finds is compiled, but for `interpreted`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the extension modules to a wheel. What is editable stays as it is."""
        if version == "editable":
            return
        self._temporary = tempfile.TemporaryDirectory(prefix="weebill-mypyc-")
        folder = Path(self._temporary.name)
        shutil.copytree(Path(self.root, PACKAGE), folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(Path(self.root, "pyproject.toml"), folder)
        modules = compiled_modules(folder, self.config["compile"], self.config["interpreted"])
        for built in _build(folder, modules):
            build_data["force_include"][str(built)] = str(built.relative_to(folder / "lib"))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """The wheel is written."""
        if version != "editable":
            self._temporary.cleanup()


def compiled_modules(root: Path, compiled: list[str], interpreted: list[str]) -> list[str]:
    """The files that the patterns choose, relative to `root`, in order. ValueError names a pattern that finds none."""

    def found(patterns: list[str]) -> set[str]:
        names: set[str] = set()
        for pattern in patterns:
            files = {str(file.relative_to(root)) for file in (root / PACKAGE).glob(pattern)}
            if not files:
                raise ValueError(f"pyproject.toml: no file of {PACKAGE} is called {pattern!r}")
            names |= files
        return names

    return sorted(found(compiled) - found(interpreted))


def _build(folder: Path, modules: list[str]) -> list[Path]:
    """The extension modules, all of them views of one shared library, for the Python that runs this."""
    from mypyc.build import mypycify
    from setuptools import Distribution

    with contextlib.chdir(folder):  # mypyc takes and writes paths relative to where it runs
        level = os.environ.get("MYPYC_OPT_LEVEL", "3")  # what mypy's own build calls it
        # A name of its own within the package; otherwise the library would lie beside all packages, called by a hash.
        extensions = mypycify(modules, opt_level=level, debug_level="0", target_dir="c", group_name=f"{PACKAGE}.native")
        command = Distribution({"name": PACKAGE, "ext_modules": extensions}).get_command_obj("build_ext")
        for extension in extensions:
            # GCC looks at how each line is indented. Declarations of mypyc's are as wide as all before them together:
            # five minutes for them alone.
            extension.extra_compile_args = [*extension.extra_compile_args, "-Wno-misleading-indentation"]
        command.build_lib, command.build_temp, command.parallel = "lib", "temp", os.cpu_count()
        command.ensure_finalized()
        command.run()
        return [folder / file for file in command.get_outputs()]
