"""`weebill auto`: asks the running learner, and exports what it has kept."""

from __future__ import annotations

import asyncio

import msgspec
import typer

from weebill.auto.learning import TOPIC, StandingQuestion
from weebill.auto.standing import NOTHING_DECIDED, Standing, sentence
from weebill.cli.errors import CommandError
from weebill.cli.output import NOTHING, console, print_table
from weebill.config.paths import Home
from weebill.process.questions import Questions, Unanswered
from weebill.storage.outcomes import OutcomeError, OutcomeStore


def status(home: Home, as_json: bool) -> None:
    """Prints the standing of `auto`."""
    standing = asyncio.run(_ask(home))
    if as_json:
        shown = None if standing is None else standing.shown()
        typer.echo(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
    elif standing is None:
        typer.echo(NOTHING_DECIDED)
    else:
        console().print(f"auto: {sentence(standing)}\n", style="bold")
        print_table(("", ""), _rows(standing))


def export(home: Home) -> None:
    """Prints the audited questions that were kept, as rows that `weebill router train` reads."""
    if not home.lessons.exists():
        raise CommandError("nothing was learnt here", "`weebill auto status` shows what is")
    try:
        store = OutcomeStore(home.lessons)
        for question, small, large in store.texts():
            typer.echo(msgspec.json.encode({"prompt": question, "weak": small, "strong": large}).decode())
        store.close()
    except OutcomeError as error:
        raise CommandError(str(error)) from error


async def _ask(home: Home) -> Standing | None:
    if not home.learner_socket.exists():
        raise CommandError("nothing learns here", "`weebill serve` starts the learner if `auto` has two tiers")
    questions = Questions(home.learner_socket)
    try:
        answer = await questions.ask(TOPIC, StandingQuestion())
    except Unanswered as error:
        raise CommandError(f"the learner does not answer: {error}", "`weebill status` shows the processes") from error
    finally:
        questions.close()
    return msgspec.msgpack.decode(answer, type=Standing | None)


def _rows(standing: Standing) -> list[tuple[str, str]]:
    return [
        ("small model", standing.pair.small),
        ("large model", standing.pair.large),
        ("target", standing.target),
        ("threshold on the gain", NOTHING if standing.threshold is None else f"{standing.threshold:.3f}"),
        ("decisions", f"{standing.decisions:,}, the newest {standing.newest:,} of which count here"),
        ("audits", f"{standing.audits:,} judged, {standing.unjudged:,} could not be"),
        ("answered by the large model", f"{standing.large_share:.0%}"),
        ("spend on audits", NOTHING if standing.audits_spend is None else f"{standing.audits_spend:.1%}"),
        ("ratings", _ratings(standing)),
    ]


def _ratings(standing: Standing) -> str:
    return NOTHING if standing.mean_rating is None else f"{standing.ratings:,}, {standing.mean_rating:.2f} on average"
