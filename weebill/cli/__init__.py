"""The command line. Only what `--help` needs is imported before a command runs."""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Run the command line of this process, and exit: 0 for success, 1 for failure, 2 for wrong usage."""
    _fill_streams()
    from weebill.cli.app import command
    from weebill.cli.errors import run
    from weebill.config.paths import keep_private

    keep_private()
    sys.exit(run(lambda: command()(standalone_mode=False)))


def _fill_streams() -> None:
    """Has what is closed lead nowhere: else, a file that is opened later would be standard output."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - for as long as the process lives
