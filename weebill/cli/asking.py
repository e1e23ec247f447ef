"""Questions before what cannot be taken back."""

from __future__ import annotations

import sys

import typer

from weebill.cli.errors import CommandError


def confirm(stakes: str, question: str, yes: bool) -> None:
    """Returns once somebody has agreed: by `--yes`, or on a terminal when asked.

    Raises CommandError where nobody can be asked, typer.Abort for a no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandError(stakes, "say `--yes` where nobody can be asked")
    typer.confirm(f"{stakes} {question}", abort=True, err=True)
