"""Schemathesis, which nobody here wrote, over the OpenAPI document of the management API, as each who may ask."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
import uvicorn
from fastapi import FastAPI

from tests.clients import places
from tests.control.test_openapi import AS, DOCUMENT, World, world

__all__ = ["world"]

START_S: Final = 30.0
EXAMPLES: Final = 10
CHECKS: Final = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# What ends the session that asks, and what asks processes that are not there.
LEFT_OUT: Final = "sign-out|/sessions|adapters|/auto"


@contextmanager
def served(app: FastAPI) -> Iterator[int]:
    """The port at which the application answers on loopback."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    until = time.monotonic() + START_S
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.clients
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("who", AS)
def test_schemathesis_finds_no_answer_that_is_not_in_the_document(who: str, world: World, tmp_path: Path) -> None:
    headers = world.credentials(who)
    with served(world.place.app) as port:
        # The cookie's name has the port.
        told = [f"{name}: {value.replace('weebill-80=', f'weebill-{port}=')}" for name, value in headers.items()]
        command = [
            str(places.python("schemathesis") / "schemathesis"), "run", f"http://127.0.0.1:{port}{DOCUMENT}",
            *(part for each in told for part in ("-H", each)), "--phases", "coverage,fuzzing", "--checks", CHECKS,
            "--max-examples", str(EXAMPLES), "--exclude-path-regex", LEFT_OUT, "--continue-on-failure", "--no-color",
            "--seed", "15",
        ]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    print(done.stdout[-600:])
