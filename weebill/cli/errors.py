"""Expected failures: one `error:` line for each problem, a `hint:` line with the remedy, no traceback."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

import typer

FAILURE, USAGE = 1, 2
_WRITABLE = "set WEEBILL_HOME to a folder that you can write to, or see to this one"
_SPACE = "free some space and try again"
_FILES = "raise the limit of open files with `ulimit -n`, and try again"
# Remedies for the system's errors; other errors are about a path.
_SYSTEM_HINTS: Mapping[int, str] = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EFBIG: "raise the limit of file sizes with `ulimit -f`, and try again",
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOMEM: "free some memory and try again",
    errno.EAGAIN: "raise the limit of processes with `ulimit -u`, and try again",
    errno.EIO: "check the disk",
}
_RED, _YELLOW, _CYAN, _RESET = "\x1b[1;31m", "\x1b[1;33m", "\x1b[36m", "\x1b[0m"


class CommandError(Exception):
    """A command that cannot do its work; `exit_code` is the process's."""

    def __init__(self, message: str, hint: str = "", exit_code: int = FAILURE) -> None:
        super().__init__(message)
        self.hint = hint
        self.exit_code = exit_code


class Explanation(NamedTuple):
    """The text to print for an expected failure."""

    messages: tuple[str, ...]
    hint: str = ""
    exit_code: int = FAILURE


def run(command: Callable[[], object]) -> int:
    """Runs `command`, explains its expected failures on stderr, and returns the exit code."""
    try:
        result = command()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough, as `head` does.
        _discard_output()
        return FAILURE
    except KeyboardInterrupt:
        return 130
    except typer.Abort:
        return FAILURE
    except Exception as error:
        explanation = explain(error)
        if explanation is None:
            raise
        with suppress(BrokenPipeError):
            show(explanation)
        if isinstance(error, OSError):
            _discard_output()
        return explanation.exit_code
    return result if isinstance(result, int) else 0


def _discard_output() -> None:
    """Drops unprintable output: Python would complain again when it flushes at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def show(explanation: Explanation) -> None:
    """Prints an explanation to stderr."""
    for message in explanation.messages:
        typer.echo(f"{_label('error:', _RED)} {message}", err=True)
    if explanation.hint:
        typer.echo(f"{_label('hint:', _CYAN)} {explanation.hint}", err=True)


def warn(message: str) -> None:
    """Prints a warning to stderr, for a command that succeeds."""
    typer.echo(f"{_label('warning:', _YELLOW)} {message}", err=True)


def explain(error: Exception) -> Explanation | None:
    """Returns the explanation of `error`; None if it is a bug, which deserves its traceback."""
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "weebill"
        return Explanation((error.format_message(),), f"`{command} --help` shows what it takes", USAGE)
    # Imported here, only after a failure: `--help` needs none of it.
    from weebill.config.ledger_errors import LedgerError
    from weebill.config.problems import ConfigError
    from weebill.models.errors import ModelError
    from weebill.supervisor.commands import NotRunningError
    from weebill.supervisor.listeners import ListenError
    from weebill.supervisor.lock import AlreadyRunningError

    match error:
        case ConfigError():
            messages = tuple(map(str, error.problems))
            return Explanation(messages, "mend it, and see with `weebill config check`", USAGE)
        case CommandError():
            return Explanation((str(error),), error.hint, error.exit_code)
        case ListenError():
            return Explanation((str(error),), error.hint)
        case NotRunningError():
            return Explanation((str(error),), "start it with `weebill serve`")
        case AlreadyRunningError():
            return Explanation((str(error),), "`weebill status` shows it; for a second one, set another WEEBILL_HOME")
        case ModelError():
            return Explanation((str(error),))
        case LedgerError():
            return Explanation((str(error),), error.hint)
        case OSError():
            reason = error.strerror or str(error) or type(error).__name__
            message = reason if error.filename is None else f"{_shown(error.filename)}: {reason}"
            return Explanation((message,), _SYSTEM_HINTS.get(error.errno or 0, _WRITABLE))
        case _:
            return None


def _shown(name: object) -> str:
    return os.fsdecode(name) if isinstance(name, bytes) else str(name)


def _label(text: str, colour: str) -> str:
    return f"{colour}{text}{_RESET}" if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else text
