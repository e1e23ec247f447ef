"""The command line. Only what `--help` needs is imported before a command runs."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process, and exit: 0 for success, 1 for failure, 2 for wrong usage."""
    from weebill.cli.app import command
    from weebill.cli.errors import run
    from weebill.config.paths import keep_private

    keep_private()
    sys.exit(run(lambda: command()(standalone_mode=False)))
