"""A compiler that keeps the largest of what it compiles: `python kept_object.py FOLDER COMPILER ARGUMENT...`.

The C of the hot path stays the same, to the byte, while other modules change: mypyc reads them again, in half a minute,
and the C compiler need not take its two.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

# What is smaller is compiled in less than a second.
WORTH_KEEPING_BYTES: Final = 2_000_000
_READ_FROM: Final = (".c", ".h")


def run(folder: Path, command: list[str]) -> int:
    """Run the compiler, unless the folder has what it would write; returns its exit status."""
    sources = [Path(each) for each in command if each.endswith(".c")]
    if "-c" not in command or sum(each.stat().st_size for each in sources) < WORTH_KEEPING_BYTES:
        return subprocess.call(command)
    kept, made = folder / f"{_key(command, sources)}.o", Path(command[command.index("-o") + 1])
    if not kept.exists():
        code = subprocess.call(command)
        if code != 0:
            return code
        _keep(made, kept)
    shutil.copyfile(kept, made)
    return 0


def _key(command: list[str], sources: list[Path]) -> str:
    """A name for all that the object depends on: the command, the compiler, the source, and whatever it may include."""
    digest = hashlib.sha256("\0".join(command).encode())
    digest.update(subprocess.check_output([command[0], "--version"]))
    folders = [Path(each.removeprefix("-I")) for each in command if each.startswith("-I")]
    included = [file for each in folders for file in sorted(each.rglob("*")) if file.suffix in _READ_FROM]
    for file in [*sources, *included]:
        digest.update(f"\0{file}\0{file.stat().st_size}\0".encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()


def _keep(made: Path, kept: Path) -> None:
    """Put it into the folder whole or not at all, in place of what was there: it is some 40 MB."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    for old in kept.parent.iterdir():
        old.unlink()
    new = kept.with_suffix(".new")
    shutil.copyfile(made, new)
    os.replace(new, kept)


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:]))
