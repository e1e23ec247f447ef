"""Builds usage records for the open requests of dead workers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from weebill.usage.intents import left_open
from weebill.usage.records import OWN_KEY, Intent, UsageRecord

# Returns nano-dollars for an upstream, its name of the model, and the numbers of prompt and completion tokens.
Cost = Callable[[str, str, int, int], int | None]

_BYTES_PER_TOKEN = 4  # as for a request whose client has disconnected
_CUT = 500  # the client got no status, or 200 and an incomplete answer

_decoder = msgspec.json.Decoder(Intent)
_encode = msgspec.json.Encoder().encode


def no_cost(upstream: str, model: str, prompt_tokens: int, completion_tokens: int) -> int | None:
    """Returns None: no price is known."""
    return None


def writer_of(name: str) -> str:
    """Returns the writer's name, from the name of a segment or a table of intents."""
    stem, _, suffix = name.partition(".")
    return stem.rpartition("-")[0] if suffix == "jsonl" else stem


def lines_left_open(table: Path, segments: Iterable[Path], cost: Cost) -> tuple[bytes, int]:
    """Returns usage records, one a line, for the requests in a dead worker's `table` without a record in `segments`.

    A worker that dies after writing a record and before releasing the slot leaves both. An unreadable line is returned
    unchanged. Raises OSError.
    """
    ended_at = os.stat(table).st_mtime_ns // 1000  # an estimate: it is written about once a second
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
        cost_nano=0 if intent.own_key else cost(intent.upstream, intent.model_served, prompt_tokens, events),
        flags=OWN_KEY if intent.own_key else "",
        held=intent.held,
    )


def _lines(segment: Path) -> list[bytes]:
    try:
        return segment.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
