"""Usage records for tests, and a process that writes them until it is killed."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from weebill.config.schema import MeteringSettings
from weebill.usage.journal import JournalWriter
from weebill.usage.records import Intent, Rating, UsageRecord

STARTED_AT = 1_763_000_000_000_000
EACH_RATED = 8


def make_record(request_id: str, *, key_id: str = "key_1", model: str = "tiny", outcome: str = "ok") -> UsageRecord:
    return UsageRecord(
        request_id, key_id, "chat/completions", "mini", model, "local", True, 10, 4, 3, True, 200,
        outcome, STARTED_AT, 1500, 9000,  # type: ignore[arg-type]
    )  # fmt: skip


def make_intent(request_id: str, *, model: str = "tiny", prompt_bytes: int = 40) -> Intent:
    return Intent(request_id, "key_1", "chat/completions", "mini", model, "local", True, STARTED_AT, prompt_bytes)


def write_until_killed(folder: Path, name: str, segment_bytes: int) -> None:
    """Append records `NAME-0`, `NAME-1`, ..., and a rating of each eighth; each is announced on stdout once it, and its
    rating, are in the journal.
    """
    journal = JournalWriter(folder, 0, MeteringSettings(segment_bytes=segment_bytes))
    number = 0
    while True:
        slot = journal.intend(make_intent(f"{name}-{number}"))
        time.sleep(0.0005)
        journal.append(make_record(f"{name}-{number}"), slot)
        if number % EACH_RATED == 0:
            journal.append(Rating(request_id=f"{name}-{number}", key_id="key_1", at=1, score_micro=number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        number += 1
        time.sleep(0.0005)  # a thousand a second at most, so that the ingester has a chance to keep up
