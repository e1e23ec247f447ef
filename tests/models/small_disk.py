"""A store on a file system that is full soon."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from weebill.models.store import ModelStore


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[ModelStore]:
    """A file system of `size` bytes; skips where this user may not mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root on Linux")
    try:
        yield ModelStore(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
