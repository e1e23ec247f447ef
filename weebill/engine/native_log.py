"""Logs what native code writes to standard error."""

from __future__ import annotations

import collections
import logging
import os
import re
import sys
import threading

# llama.cpp: "0.00.046.631 E llama_model_load: error loading model: ..."
_LINE = re.compile(r"(?:[\d.]+ )?(?P<level>[DIWE]) (?P<text>.*)")
_LEVELS = {"D": logging.DEBUG, "I": logging.DEBUG, "W": logging.WARNING, "E": logging.ERROR}
_KEPT_ERRORS = 20
_MAX_LINE_CHARACTERS = 2000
_DRAIN_TIMEOUT_S = 2.0


class NativeLog:
    """Takes over descriptor 2 until the process ends; Python's `sys.stderr` still writes to the original one."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._errors: collections.deque[str] = collections.deque(maxlen=_KEPT_ERRORS)
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

    def finish(self) -> list[str]:
        """Restores descriptor 2, and returns the latest errors that native code wrote."""
        os.dup2(sys.stderr.fileno(), 2)
        self._thread.join(_DRAIN_TIMEOUT_S)
        return list(self._errors)

    def _pump(self, source: int) -> None:
        with os.fdopen(source, errors="replace") as lines:
            while line := lines.readline(_MAX_LINE_CHARACTERS):
                match = _LINE.match(line)
                if self._private:
                    if match:
                        self._log.log(_LEVELS[match["level"]], match["text"].partition(":")[0])
                    continue
                level = _LEVELS[match["level"]] if match else logging.WARNING
                text = (match["text"] if match else line).strip()
                if level == logging.ERROR:
                    self._errors.append(text)
                if text:
                    self._log.log(level, text)
