"""Tables as files: CSV, and Parquet where its library is installed. Rows come in batches, so memory is bounded."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, NamedTuple

from weebill.billing.statements import harmless
from weebill.cli.errors import CommandError
from weebill.cli.output import print_document

Sort = Literal["text", "whole", "fraction", "flag", "time"]
Rows = Iterable[Sequence[Sequence[object]]]
"""Batches of rows. A time is Unix microseconds; None is not known."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Column(NamedTuple):
    """A column of a file."""

    name: str
    sort: Sort


def write_csv(file: Path | None, columns: Sequence[Column], batches: Rows) -> int:
    """Writes a table as CSV (RFC 4180, UTF-8), to standard output without a file; returns the number of its rows.

    Times are in ISO 8601, in UTC; what is not known is empty.
    """
    if file is None:
        return _write_csv(print_document, columns, batches)
    with _draft(file) as draft, draft.open("w", encoding="utf-8", newline="") as opened:
        return _write_csv(opened.write, columns, batches)


class _Sink:
    """A file of which `csv` needs only this."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self.write = write


def _write_csv(write: Callable[[str], object], columns: Sequence[Column], batches: Rows) -> int:
    writer = csv.writer(_Sink(write))
    writer.writerow([column.name for column in columns])
    times = [at for at, column in enumerate(columns) if column.sort == "time"]
    flags = [at for at, column in enumerate(columns) if column.sort == "flag"]
    texts = [at for at, column in enumerate(columns) if column.sort == "text"]
    count = 0
    for batch in batches:
        for row in batch:
            values = list(row)
            for at in times:
                values[at] = None if values[at] is None else _written(int(str(values[at])))
            for at in flags:
                values[at] = "true" if values[at] else "false"
            for at in texts:
                values[at] = harmless(str(values[at] or ""))
            writer.writerow(values)
            count += 1
    return count


def _written(at_us: int) -> str:
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat()


def write_parquet(file: Path, columns: Sequence[Column], batches: Rows) -> int:
    """Writes a table as Parquet, a batch as a row group; returns the number of its rows. Raises CommandError."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise CommandError(
            "Parquet takes the extra `parquet`", "install `weebill[parquet]`, or write CSV by --csv"
        ) from error
    types = {
        "text": pyarrow.string(), "whole": pyarrow.int64(), "flag": pyarrow.bool_(),
        "fraction": pyarrow.float64(), "time": pyarrow.timestamp("us", tz="UTC"),
    }  # fmt: skip
    schema = pyarrow.schema([(column.name, types[column.sort]) for column in columns])
    count = 0
    with _draft(file) as draft, parquet.ParquetWriter(draft, schema, compression="zstd") as writer:
        for batch in batches:
            if batch:
                arrays = [
                    pyarrow.array([row[at] for row in batch], type=types[column.sort])
                    for at, column in enumerate(columns)
                ]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
                count += len(batch)
    return count


@contextmanager
def _draft(file: Path) -> Iterator[Path]:
    """Yields where to write, private to the user; that takes the place of `file` at the end, or is removed."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.draft")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield draft
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
