"""A worker that learns one thing and tells it, or that prints what it hears: JSON lines on stdout.

Run as `python -m tests.routing.sharing_process FOLDER NAME REDIS_URL FACT`; "" for no Redis, and for no fact.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from tests.routing.test_shared import Known
from weebill.routing.shared import SharedHealth
from weebill.shared.redis import Redis


async def main(folder: str, name: str, url: str, fact: str) -> None:
    shared = SharedHealth(Known, Path(folder), name, Redis(url) if url else None)
    known: list[Known] = []

    def hear(source: str, facts: tuple[Known, ...]) -> None:
        line = {"at": time.time(), "from": source.split(":")[0], "heard": [each.subject for each in facts]}
        print(json.dumps(line), flush=True)

    running = asyncio.create_task(shared.run(lambda: known, hear))
    print(json.dumps({"at": time.time(), "ready": name}), flush=True)
    if fact:
        await asyncio.to_thread(sys.stdin.readline)
        known.append(Known(fact, remaining_s=30.0))
        print(json.dumps({"at": time.time(), "learnt": fact}), flush=True)
    await running


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
