"""The records of requests whose worker died before it could write any."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from weebill.usage.intents import left_open
from weebill.usage.records import Intent, UsageRecord

# Nano-dollars, by an upstream, what it calls the model, and the numbers of prompt and completion tokens.
Cost = Callable[[str, str, int, int], int | None]

_BYTES_PER_TOKEN = 4  # as for a request that its client has left
_CUT = 500  # the client got no status, or one that did not hold

_decoder = msgspec.json.Decoder(Intent)
_encode = msgspec.json.Encoder().encode


def no_cost(upstream: str, model: str, prompt_tokens: int, completion_tokens: int) -> int | None:
    """What is known where nobody knows a price."""
    return None


def writer_of(name: str) -> str:
    """Whose file it is, by the name of a segment or a table of intents."""
    stem, _, suffix = name.partition(".")
    return stem.rpartition("-")[0] if suffix == "jsonl" else stem


def lines_left_open(table: Path, segments: Iterable[Path], cost: Cost) -> tuple[bytes, int]:
    """Usage records, a line each, of the requests in a dead worker's `table` that its `segments` have no record of.

    A worker that dies between its last record and giving up the slot has both. What cannot be read is given as it
    stands. Raises OSError.
    """
    ended_at = os.stat(table).st_mtime_ns // 1000  # it is written to about once a second, so this is an estimate, too
    found = list(left_open(table.read_bytes()))
    if not found:
        return b"", 0
    recorded = {line[2 : line.find(b'"', 2)] for segment in segments for line in _lines(segment)}
    lines: list[bytes] = []
    for text, events in found:
        try:
            intent = _decoder.decode(text)
        except (msgspec.MsgspecError, UnicodeError):
            lines.append(text + b"\n")
            continue
        request_id = intent.request_id.encode()
        if request_id not in recorded:
            recorded.add(request_id)
            lines.append(_encode(_record(intent, events, ended_at, cost)) + b"\n")
    return b"".join(lines), len(lines)


def _record(intent: Intent, events: int, ended_at: int, cost: Cost) -> UsageRecord:
    prompt_tokens = -(-intent.prompt_bytes // _BYTES_PER_TOKEN)
    return UsageRecord(
        intent.request_id,
        intent.key_id,
        intent.endpoint,
        intent.model_asked,
        intent.model_served,
        intent.upstream,
        intent.stream,
        prompt_tokens,
        0,
        events,
        False,
        _CUT,
        "worker_died",
        intent.started_at,
        0,
        max(0, ended_at - intent.started_at),
        cost_nano=cost(intent.upstream, intent.model_served, prompt_tokens, events),
    )


def _lines(segment: Path) -> list[bytes]:
    try:
        return segment.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
