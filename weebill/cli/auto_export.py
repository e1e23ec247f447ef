"""`weebill auto export`: prints what the learner has kept. Apart from what asks it, which needs no database."""

from __future__ import annotations

import msgspec
import typer

from weebill.cli.errors import CommandError
from weebill.config.paths import Home
from weebill.storage.opening import open_outcomes
from weebill.storage.outcomes import OutcomeError, kept_questions


def export(home: Home) -> None:
    """Prints the audited questions that were kept, as rows that `weebill router train` reads."""
    if not home.lessons.exists():
        raise CommandError("nothing was learnt here", "`weebill auto status` shows what is")
    try:
        with open_outcomes(home) as store:
            for question, small, large in kept_questions(store):
                typer.echo(msgspec.json.encode({"prompt": question, "weak": small, "strong": large}).decode())
    except OutcomeError as error:
        raise CommandError(str(error)) from error
