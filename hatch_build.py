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
# What mypyc writes for a module is a few lines, which call the shared library. A compiler reads Python's headers for
# each file, and starts three processes: 0.3 s for each of some 200 modules.
VIEWS_AT_ONCE = 16


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
        modules = beginning(
            os.environ.get("COMPILE_ONLY", "").split(),
            compiled_modules(folder, self.config["compile"], self.config["interpreted"]),
        )
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


def beginning(names: list[str], modules: list[str]) -> list[str]:
    """Those of the modules that begin like one of these, within the package; all of them if there are none."""
    return [each for each in modules if not names or each.startswith(tuple(f"{PACKAGE}/{name}" for name in names))]


def _build(folder: Path, modules: list[str]) -> list[Path]:
    """The extension modules, all of them views of one shared library, for the Python that runs this."""
    from mypyc.build import mypycify
    from setuptools import Distribution, Extension

    with contextlib.chdir(folder):  # mypyc takes and writes paths relative to where it runs
        level = os.environ.get("MYPYC_OPT_LEVEL", "3")  # what mypy's own build calls it
        # A name of its own within the package; otherwise the library would lie beside all packages, called by a hash.
        library, *views = mypycify(
            modules, opt_level=level, debug_level="0", target_dir="c", group_name=f"{PACKAGE}.native"
        )
        # GCC looks at how each line is indented. Declarations of mypyc's are as wide as all before them together:
        # five minutes for them alone.
        library.extra_compile_args.append("-Wno-misleading-indentation")
        sources = {view.name: view.sources[0] for view in views}
        several = {f"{PACKAGE}.views_{at}": names for at, names in enumerate(together([*sources]))}
        extensions = [
            Extension(
                name,
                [_included(name, [sources[each] for each in names])],
                extra_compile_args=views[0].extra_compile_args,
            )
            for name, names in several.items()
        ]
        distribution = Distribution({"name": PACKAGE, "ext_modules": [library, *extensions]})
        command = distribution.get_command_obj("build_ext")
        command.build_lib, command.build_temp, command.parallel = "lib", "temp", os.cpu_count()
        command.ensure_finalized()
        command.run()
        built = [command.get_ext_fullpath(library.name)]
        for name, names in several.items():
            for each in names:
                path = command.get_ext_fullpath(each)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                built.append(shutil.copyfile(command.get_ext_fullpath(name), path))
        return [folder / file for file in built]


def together(names: list[str]) -> list[list[str]]:
    """The modules by which of them are compiled into one file, a copy of which is each of them.

    Python finds how to begin a module by the last part of its name, which is another one for each in a file.
    """
    files: list[dict[str, str]] = []
    for name in names:
        last = name.removesuffix(".__init__").rpartition(".")[2]
        for file in files:
            if last not in file and len(file) < VIEWS_AT_ONCE:
                file[last] = name
                break
        else:
            files.append({last: name})
    return [[*file.values()] for file in files]


def _included(name: str, sources: list[str]) -> str:
    """Write a file of C that has all of the sources in it; returns its path."""
    lines = []
    for at, source in enumerate(sources):
        # Each defines it for compilers that look for it, under one name.
        beside = Path(source).relative_to("c")  # the same wherever the temporary copy is
        lines += [f"#define PyInit___init__ PyInit___init___{at}", f'#include "{beside}"']
        lines += ["#undef PyInit___init__"]
    path = Path("c", f"{name}.c")
    path.write_text("\n".join(lines) + "\n")
    return str(path)
