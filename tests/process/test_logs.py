import io
import json
import logging

import pytest

from weebill.config.schema import LogSettings
from weebill.process import logs


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def restore_root_logger():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(False)


def emit(settings: LogSettings, stream: io.StringIO) -> str:
    logs.configure(settings, "worker-0", stream)
    log = logging.getLogger("weebill.test")
    log.debug("quiet")
    try:
        raise ValueError("boom")
    except ValueError:
        log.warning("bad %s", "in\x1b[31mput\n", extra={"port": 8080, "path": {1, 2}}, exc_info=True)
    return stream.getvalue()


def test_json_lines_off_a_terminal():
    (line,) = emit(LogSettings(), io.StringIO()).splitlines()
    entry = json.loads(line)
    assert entry["level"] == "warning"
    assert entry["process"] == "worker-0"
    assert entry["logger"] == "weebill.test"
    assert entry["message"] == "bad in\x1b[31mput\n"
    assert entry["port"] == 8080
    assert "ValueError: boom" in entry["exception"]
    assert entry["time"].endswith("Z")


def test_text_on_a_terminal_cannot_be_rewritten_by_input(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    first, *trace = emit(LogSettings(), Terminal()).splitlines()
    assert "\x1b[33mWARNING" in first
    assert r"bad in\x1b[31mput\n" in first
    assert "port=8080" in first
    assert trace[-1] == "ValueError: boom"


def test_no_color_and_plain_text_are_honoured(monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in emit(LogSettings(format="text"), Terminal())


def test_configuring_again_replaces_level_and_handler():
    stream = io.StringIO()
    emit(LogSettings(), io.StringIO())
    logs.configure(LogSettings(level="debug"), "worker-0", stream)
    logging.getLogger("weebill.test").debug("now heard")
    assert len(logging.getLogger().handlers) == 1
    assert json.loads(stream.getvalue())["message"] == "now heard"
