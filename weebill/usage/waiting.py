"""The bytes of the journals that are not in the ledger yet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from weebill.usage.journal import SEGMENT_SUFFIX

_READ_BYTES: Final = 1 << 16


def waiting_bytes(folder: Path, marks: Mapping[str, int]) -> int:
    """Returns how many bytes the segments in `folder` hold beyond their marks, space without a record left out."""
    return sum(_written(path, marks.get(path.name, 0)) for path in folder.glob(f"*{SEGMENT_SUFFIX}"))


def _written(path: Path, offset: int) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # ingested meanwhile
        return 0
    try:
        found = 0
        while part := os.pread(descriptor, _READ_BYTES, offset + found):
            before, zero, _ = part.partition(b"\0")
            found += len(before)
            if zero:
                break
        return found
    finally:
        os.close(descriptor)
