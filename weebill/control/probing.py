"""Tries a provider's key in a process of its own, which the secret is told on a pipe: this one calls no upstreams."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import msgspec

from weebill.catalog.probe import ProbeResult, ProbeTask
from weebill.config.schema import Settings
from weebill.wire.errors import ApiError

_MOST_AT_ONCE: Final = 4
_TIMEOUT_S: Final = 60.0


class Probing:
    """Tries keys, a few at once."""

    def __init__(self) -> None:
        self._running = 0

    async def run(self, provider: str, settings: Settings) -> ProbeResult:
        """Returns what came of a call of the provider, with the key in the settings. Raises ApiError 503 if too many
        are under way.
        """
        if self._running >= _MOST_AT_ONCE:
            message = f"{_MOST_AT_ONCE} keys are being tried already; try again in a moment."
            raise ApiError(503, message, code="probe_busy", retry_after=2)
        self._running += 1
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-P", "-m", "weebill.gateway.probe"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C on the terminal is for the supervisor
            )
            try:
                async with asyncio.timeout(_TIMEOUT_S):
                    said, _ = await process.communicate(msgspec.json.encode(ProbeTask(provider, settings)))
            except TimeoutError:
                return ProbeResult(False, None, round(_TIMEOUT_S * 1000), "it did not answer in time")
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        finally:
            self._running -= 1
        return msgspec.json.decode(said, type=ProbeResult)
