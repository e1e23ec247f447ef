"""Notifies the service manager that started this process: systemd, for a unit with `Type=notify`.

Source: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html and sd_watchdog_enabled.html beside it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Sequence
from typing import Final, Self

_AGAIN_S: Final = 1.0

log = logging.getLogger(__name__)


class ServiceManager:
    """The service manager at `address`, "" for none. It kills this process after `watchdog_s` of silence (0: never)."""

    def __init__(self, address: str, watchdog_s: float) -> None:
        self._address = address
        self.watchdog_s = watchdog_s
        self._ready = False
        self._serving = False
        self._status = ""
        self._told = ""
        self._is_heard = True

    @classmethod
    def of_process(cls) -> Self:
        """Reads the environment, and removes the variables: no child must speak for this process."""
        address, limit_us, pid = (
            os.environ.pop(name, "") for name in ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        )
        watched = limit_us.isdecimal() and pid in ("", str(os.getpid()))
        return cls(address, int(limit_us) / 1e6 if watched else 0.0)

    def follow(self, serving: bool, origin: str, waiting: Sequence[str]) -> None:
        """Sends the state if it has changed. Readiness is sent once, and cannot be revoked."""
        self._serving = serving
        self._status = f"{'Serving' if serving else 'Not ready'} at {origin}"
        if waiting:
            self._status += f"; waiting for {', '.join(waiting)}"
        self._tell_state()

    def stopping(self) -> None:
        """Sends that this process is stopping."""
        self._status = self._told = "Draining"
        self._tell("STOPPING=1", "STATUS=Draining")

    async def keep_up(self) -> None:
        """Sends the watchdog's keep-alives from this event loop, if there is a watchdog, and again what was not
        taken: the manager's queue may be full.
        """
        while self._address:
            self._tell_state()
            if self.watchdog_s:
                self._tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_s / 2 or _AGAIN_S)

    def _tell_state(self) -> None:
        begins = self._serving and not self._ready
        if self._status != self._told and self._tell(*["READY=1"] * begins, f"STATUS={self._status}"):
            self._ready |= self._serving
            self._told = self._status

    def _tell(self, *assignments: str) -> bool:
        """Sends assignments; returns True if they were sent."""
        if not self._address:
            return False
        # An abstract socket's name is written with @ in place of its first byte, which is zero.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
            speaker.setblocking(False)
            try:
                speaker.sendto("\n".join(assignments).encode(), address)
            except OSError as error:
                if self._is_heard:
                    log.warning("the service manager at %s cannot be told how things are: %s", self._address, error)
                self._is_heard = False
            else:
                self._is_heard = True
        return self._is_heard
