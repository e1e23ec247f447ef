"""Expected failures: one `error:` line for each problem, a `hint:` line that says what to do, no traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NamedTuple

import typer

FAILURE, USAGE = 1, 2
_RED, _YELLOW, _CYAN, _RESET = "\x1b[1;31m", "\x1b[1;33m", "\x1b[36m", "\x1b[0m"


class CommandError(Exception):
    """A command that cannot do what was asked."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Explanation(NamedTuple):
    """What to print for an expected failure."""

    messages: tuple[str, ...]
    hint: str = ""
    exit_code: int = FAILURE


def run(command: Callable[[], object]) -> int:
    """The exit code of `command`, after its expected failures have been explained on stderr."""
    try:
        result = command()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has seen enough, as `head` does; Python must not complain when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILURE
    except KeyboardInterrupt:
        return 130
    except typer.Abort:
        return FAILURE
    except Exception as error:
        explanation = explain(error)
        if explanation is None:
            raise
        show(explanation)
        return explanation.exit_code
    return result if isinstance(result, int) else 0


def show(explanation: Explanation) -> None:
    """Print an explanation to stderr."""
    for message in explanation.messages:
        typer.echo(f"{_label('error:', _RED)} {message}", err=True)
    if explanation.hint:
        typer.echo(f"{_label('hint:', _CYAN)} {explanation.hint}", err=True)


def warn(message: str) -> None:
    """Print to stderr what the reader should know of a command that succeeds."""
    typer.echo(f"{_label('warning:', _YELLOW)} {message}", err=True)


def explain(error: Exception) -> Explanation | None:
    """How to tell people of `error`; None if it is a fault of ours, which deserves its traceback."""
    if isinstance(error, typer.TyperException):
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "weebill"
        return Explanation((error.format_message(),), f"`{command} --help` shows what it takes", USAGE)
    # Imported here, where something has gone wrong: `--help` needs none of it.
    from weebill.config.problems import ConfigError
    from weebill.engine.errors import ModelError
    from weebill.ledger.database import LedgerError
    from weebill.supervisor.commands import NotRunningError
    from weebill.supervisor.listeners import ListenError
    from weebill.supervisor.lock import AlreadyRunningError

    match error:
        case ConfigError():
            messages = tuple(map(str, error.problems))
            return Explanation(messages, "mend it, and see with `weebill config check`", USAGE)
        case CommandError() | ListenError():
            return Explanation((str(error),), error.hint)
        case NotRunningError():
            return Explanation((str(error),), "start it with `weebill serve`")
        case AlreadyRunningError():
            return Explanation((str(error),), "`weebill status` shows it; for a second one, set another WEEBILL_HOME")
        case ModelError() | LedgerError():
            return Explanation((str(error),))
        case OSError(filename=str(name), strerror=str(reason)):
            return Explanation((f"{name}: {reason}",), "set WEEBILL_HOME to a folder that you can write to")
        case _:
            return None


def _label(text: str, colour: str) -> str:
    return f"{colour}{text}{_RESET}" if sys.stderr.isatty() and not os.environ.get("NO_COLOR") else text
