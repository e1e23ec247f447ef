"""Configures logging: standard library loggers to stderr, as text for people or as JSON lines.

Fields given with `extra=` are kept: `log.info("listening", extra={"port": 8080})`.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from typing import TextIO

import msgspec

from weebill.config.schema import LogSettings

# `color_message` is uvicorn's second copy of its messages.
_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_RESET, _DIM = "\x1b[0m", "\x1b[2m"
_LEVEL_COLOURS = {
    "DEBUG": "\x1b[2m",
    "INFO": "\x1b[32m",
    "WARNING": "\x1b[33m",
    "ERROR": "\x1b[31m",
    "CRITICAL": "\x1b[31;1m",
}


def configure(settings: LogSettings, process_name: str, stream: TextIO | None = None) -> None:
    """Sends all logging of this process to `stream` (stderr). May be called again after a reload."""
    target = stream or sys.stderr
    on_terminal = target.isatty()
    text = settings.format == "text" or (settings.format == "auto" and on_terminal)
    colour = on_terminal and not os.environ.get("NO_COLOR")
    handler = logging.StreamHandler(target)
    handler.setFormatter(TextFormatter(process_name, colour) if text else JsonFormatter(process_name))
    root = logging.getLogger()
    for previous in root.handlers[:]:
        root.removeHandler(previous)
    root.addHandler(handler)
    root.setLevel(settings.level.upper())
    logging.captureWarnings(True)


class TextFormatter(logging.Formatter):
    """`14:10:36.123 WARNING worker-0   message  field=value`, one line except for a traceback."""

    def __init__(self, process_name: str, colour: bool) -> None:
        super().__init__()
        self._process_name = process_name
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        moment = f"{time.strftime('%H:%M:%S', time.localtime(record.created))}.{int(record.msecs):03d}"
        level = f"{record.levelname:<7}"
        process = f"{self._process_name:<10}"
        fields = "".join(f"  {name}={value}" for name, value in _extra(record).items())
        if self._colour:
            moment = f"{_DIM}{moment}{_RESET}"
            level = f"{_LEVEL_COLOURS.get(record.levelname, '')}{level}{_RESET}"
            process = f"{_DIM}{process}{_RESET}"
        line = f"{moment} {level} {process} {_printable(record.getMessage())}{_printable(fields)}"
        trace = _traceback(self, record)
        return f"{line}\n{trace}" if trace else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (UTC), `level`, `process`, `logger`, `message`, and the extra fields."""

    def __init__(self, process_name: str) -> None:
        super().__init__()
        self._process_name = process_name

    def format(self, record: logging.LogRecord) -> str:
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        entry: dict[str, object] = {
            **_extra(record),
            "time": f"{seconds}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "process": self._process_name,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if trace := _traceback(self, record):
            entry["exception"] = trace
        return msgspec.json.encode(entry, enc_hook=str).decode()


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}


def _traceback(formatter: logging.Formatter, record: logging.LogRecord) -> str:
    parts = []
    if record.exc_info:
        parts.append(formatter.formatException(record.exc_info))
    if record.stack_info:
        parts.append(formatter.formatStack(record.stack_info))
    return "\n".join(parts)


def _printable(text: str) -> str:
    """Returns `text` without the control characters with which foreign input could rewrite a terminal."""
    return _CONTROL_CHARACTERS.sub(lambda match: repr(match.group())[1:-1], text)
