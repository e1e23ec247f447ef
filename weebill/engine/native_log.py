"""Logs what native code, or a program, writes to standard error."""

from __future__ import annotations

import collections
import logging
import os
import re
import select
import sys
import threading
import time
from typing import Final, NamedTuple

from weebill.engine.allowance import Allowance

# llama.cpp: "0.00.046.631 E llama_model_load: error loading model: ..."
_LINE: Final = re.compile(r"(?:[\d.]+ )?(?P<level>[DIWE]) (?P<text>.*)")
_LEVELS: Final = {"D": logging.DEBUG, "I": logging.DEBUG, "W": logging.WARNING, "E": logging.ERROR}
_KEPT_ERRORS: Final = 20
# A longer line is taken for several.
_MOST_LINE_BYTES: Final = 2000
_READ_BYTES: Final = 65_536
_DRAIN_TIMEOUT_S: Final = 2.0


class Said(NamedTuple):
    """The latest errors of native code, the oldest first, and the last line that it wrote."""

    errors: tuple[str, ...]
    last: str


class NativeLog:
    """Takes over descriptor 2 until the process ends; Python's `sys.stderr` still writes to the original one.

    Of more lines than `Allowance` admits, only the number is logged.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._errors: collections.deque[str] = collections.deque(maxlen=_KEPT_ERRORS)
        self._last = ""
        self._allowance = Allowance()
        self._left_out = 0
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, errors="backslashreplace")
        source, target = os.pipe()
        # Native code may hold the interpreter's lock while it writes: a lost line is better than a deadlock.
        os.set_blocking(target, False)
        os.dup2(target, 2)
        os.close(target)
        self._private = False
        self._thread = threading.Thread(target=self._pump, args=(source,), name="native-log", daemon=True)

    def start(self) -> None:
        """Starts to log what was and will be written."""
        self._thread.start()

    def keep_private(self) -> None:
        """From now on logs only the place of an error: its details may quote from a request."""
        self._private = True

    def finish(self) -> Said:
        """Restores descriptor 2, and returns what native code wrote."""
        os.dup2(sys.stderr.fileno(), 2)
        self._thread.join(_DRAIN_TIMEOUT_S)
        return Said(tuple(self._errors), self._last)

    def _pump(self, source: int) -> None:
        rest = b""
        while True:
            # The number of lines that were left out is told in time, also if no other line comes.
            wait_s = self._allowance.left_s(time.monotonic()) if self._left_out else None
            readable, _, _ = select.select([source], [], [], wait_s)
            self._tell_left_out(time.monotonic())
            if not readable:
                continue
            if not (read := os.read(source, _READ_BYTES)):
                break
            *lines, rest = (rest + read).split(b"\n") if self._has_room() else self._counted(rest + read)
            if len(rest) > _MOST_LINE_BYTES:
                lines, rest = [*lines, rest], b""
            for line in lines:
                for begin in range(0, len(line), _MOST_LINE_BYTES):
                    self._take(line[begin : begin + _MOST_LINE_BYTES].decode(errors="replace"))
        if rest:
            self._take(rest.decode(errors="replace"))
        self._tell_left_out(float("inf"))
        os.close(source)

    def _has_room(self) -> bool:
        return not self._allowance.is_spent(time.monotonic())

    def _counted(self, read: bytes) -> list[bytes]:
        """Returns the last two lines; the others are counted, and cost next to nothing."""
        lines = read.rsplit(b"\n", 2)
        self._left_out += lines[0].count(b"\n") + 1 if len(lines) == 3 else 0
        return lines[1:] if len(lines) == 3 else lines

    def _take(self, line: str) -> None:
        match = _LINE.match(line)
        if self._private:
            if match:
                self._say(_LEVELS[match["level"]], match["text"].partition(":")[0])
            return
        level = _LEVELS[match["level"]] if match else logging.WARNING
        text = (match["text"] if match else line).strip()
        if level == logging.ERROR:
            self._errors.append(text)
        if text:
            self._last = text
            self._say(level, text)

    def _say(self, level: int, text: str) -> None:
        if not self._log.isEnabledFor(level):
            return
        if self._allowance.admits(len(text), time.monotonic()):
            self._log.log(level, text)
        else:
            self._left_out += 1

    def _tell_left_out(self, now: float) -> None:
        if self._left_out and not self._allowance.is_spent(now):
            self._log.warning("the engine wrote more than is logged", extra={"lines_left_out": self._left_out})
            self._left_out = 0
