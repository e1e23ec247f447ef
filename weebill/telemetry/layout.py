"""The layout of a counter file: a header, a table of names for each label, then 64-bit cells.

The header is `MAGIC`, a digest of the declared metrics, and the owner's process id. A file with another digest was
written by another release and is not read. A label's table has `room` entries of `NAME_BYTES`: a length and the name in
UTF-8; the length is written last, and zero ends the table.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import blake2b
from itertools import product
from pathlib import Path

import msgspec

from weebill.telemetry.metrics import LABELS, METRICS, OTHER, Label, Metric

MAGIC = b"WBCOUNT1"
NAME_BYTES = 256

_DIGEST_AT = len(MAGIC)
_PID_AT = _DIGEST_AT + 16
HEADER_BYTES = 64
DIGEST = blake2b(msgspec.json.encode(METRICS), digest_size=16).digest()

LENGTH = struct.Struct("=H")
PID = struct.Struct("=Q")
LONGEST_NAME = NAME_BYTES - LENGTH.size


def _offsets() -> tuple[dict[str, int], int]:
    offsets, at = {}, HEADER_BYTES
    for label in LABELS:
        offsets[label.name] = at
        at += label.room * NAME_BYTES
    return offsets, at


def _first_cells() -> tuple[dict[str, int], int]:
    first, at = {}, 0
    for metric in METRICS:
        first[metric.name] = at
        at += metric.cells
    return first, at


NAMES_AT, CELLS_AT = _offsets()
FIRST_CELL, CELL_COUNT = _first_cells()
FILE_BYTES = CELLS_AT + 8 * CELL_COUNT


def file_name(worker_index: int) -> str:
    """Returns the name of a worker's counter file."""
    return f"worker-{worker_index:03d}.counters"


def find_files(folder: Path) -> list[tuple[int, Path]]:
    """Returns the counter files in `folder`, with their workers' indexes."""
    return sorted((int(path.stem.removeprefix("worker-")), path) for path in folder.glob("worker-*.counters"))


def new_file() -> bytes:
    """Returns the content of a new file: all counters zero, and no owner."""
    return (MAGIC + DIGEST).ljust(FILE_BYTES, b"\0")


def is_current(content: bytes | memoryview) -> bool:
    """True if a file has the layout of this release."""
    return len(content) == FILE_BYTES and bytes(content[:_PID_AT]) == MAGIC + DIGEST


def read_owner(content: bytes | memoryview) -> int:
    """Returns the process id of the worker that writes to the file, 0 if it has left."""
    return int(PID.unpack_from(content, _PID_AT)[0])


def write_owner(content: memoryview, pid: int) -> None:
    """Writes the owner's process id."""
    PID.pack_into(content, _PID_AT, pid)


def read_names(content: bytes | memoryview, label: Label) -> list[str]:
    """Returns the values of a label so far, the declared ones first."""
    names = list(label.values)
    for at in range(NAMES_AT[label.name], NAMES_AT[label.name] + label.room * NAME_BYTES, NAME_BYTES):
        [length] = LENGTH.unpack_from(content, at)
        if not length:
            break
        start = at + LENGTH.size
        names.append(bytes(content[start : start + length]).decode(errors="replace"))
    return names


def write_name(content: memoryview, label: Label, position: int, name: bytes) -> None:
    """Enters a new value at `position`; the length publishes it."""
    at = NAMES_AT[label.name] + position * NAME_BYTES
    start = at + LENGTH.size
    content[start : start + len(name)] = name
    LENGTH.pack_into(content, at, len(name))


def series(metric: Metric, names: dict[str, list[str]]) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yields every series of a metric that may have counts: its label values and its first cell."""
    axes = []
    for label in metric.labels:
        axis = list(enumerate(names[label.name]))
        if label.room:
            axis.append((label.size - 1, OTHER))
        axes.append(axis)
    for combination in product(*axes):
        position = 0
        for label, (index, _) in zip(metric.labels, combination, strict=True):
            position = position * label.size + index
        yield tuple(value for _, value in combination), FIRST_CELL[metric.name] + position * metric.width
