"""`weebill auto`: asks the running learner."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

import msgspec
import typer

from weebill.auto.intervals import Interval
from weebill.auto.learning import TOPIC, CurveQuestion, StandingQuestion
from weebill.auto.standing import Standing, nothing_decided, sentence
from weebill.auto.tradeoff import Point, Tradeoff
from weebill.auto.tradeoff import sentence as present
from weebill.cli.auto_drawing import drawn
from weebill.cli.errors import CommandError
from weebill.cli.output import NOTHING, console, print_json, print_table
from weebill.cli.targets import target
from weebill.config.auto import AUTO
from weebill.config.paths import Home
from weebill.process.questions import Questions, Unanswered

_BAR: Final = 24  # letters
_ROWS: Final = 12


def status(home: Home, name: str, as_json: bool) -> None:
    """Prints the standing of the virtual model, "" for all that have one."""
    standings = msgspec.msgpack.decode(asyncio.run(_ask(home, StandingQuestion())), type=list[Standing])
    shown = [each for each in standings if each.auto == name or not name]
    if as_json:
        print_json({each.auto: each.shown() for each in shown})
        return
    if not shown:
        typer.echo(nothing_decided(name or AUTO))
    for each in shown:
        console().print(f"{each.auto}: {sentence(each)}\n", style="bold")
        print_table(("", ""), _rows(each))


def plot(home: Home, name: str, file: Path | None, as_json: bool) -> None:
    """Prints the curve of the virtual model, and draws it if there is a file for it."""
    if file is not None and file.suffix.lower() != ".svg":
        raise CommandError(f"{file}: the drawing is SVG", f"`weebill auto plot {file.with_suffix('.svg')}` draws it")
    curve = msgspec.msgpack.decode(asyncio.run(_ask(home, CurveQuestion(name))), type=Tradeoff | None)
    if as_json:
        print_json(None if curve is None else curve.shown())
    if file is not None:
        if curve is None or not curve.points:
            why = nothing_decided(name) if curve is None else present(curve)
            raise CommandError(f"{file} is not drawn: {why}", "`weebill auto status` shows the audits")
        target(home, file).write_text(drawn(curve), encoding="utf-8")
    elif not as_json:
        _print_curve(name, curve)


async def _ask(home: Home, question: StandingQuestion | CurveQuestion) -> msgspec.Raw:
    if not home.learner_socket.exists():
        raise CommandError("nothing learns here", "`weebill serve` starts the learner if `auto` has two tiers")
    questions = Questions(home.learner_socket)
    try:
        return await questions.ask(TOPIC, question)
    except Unanswered as error:
        raise CommandError(f"the learner does not answer: {error}", "`weebill status` shows the processes") from error
    finally:
        questions.close()


def _print_curve(name: str, curve: Tradeoff | None) -> None:
    if curve is None:
        typer.echo(nothing_decided(name))
        return
    console().print(f"{name}: {present(curve)}", style="bold")
    if not curve.points:
        return
    low = min(each.quality.low for each in curve.points if each.quality is not None)
    scale = f"{low:.2f}".ljust(_BAR - 4) + "1.00"
    print_table(("TO THE LARGE", "SPEND", "QUALITY", "95% INTERVAL", scale), _curve_rows(curve, low))
    if curve.points[0].spend is None:
        typer.echo("Prices are not known, so the spend is not.")


def _curve_rows(curve: Tradeoff, low: float) -> list[tuple[str, ...]]:
    """Returns some of the points, the present one among them."""
    last = len(curve.points) - 1
    shown = {curve.points[at * last // (_ROWS - 1)] for at in range(_ROWS)} | {curve.present} - {None}
    aimed = curve.value if curve.target == "quality" else None
    return [_curve_row(each, low, aimed, each == curve.present) for each in curve.points if each in shown]


def _curve_row(point: Point, low: float, aimed: float | None, now: bool) -> tuple[str, ...]:
    quality = point.quality
    spend = NOTHING if point.spend is None else f"{point.spend:.0%}"
    if quality is None:
        return f"{point.large_share:.0%}", spend, NOTHING, NOTHING, ""
    interval = f"{quality.low:.3f} to {quality.high:.3f}"
    return f"{point.large_share:.0%}", spend, f"{quality.value:.3f}", interval, _bar(quality, low, aimed) + " now" * now


def _bar(quality: Interval, low: float, aimed: float | None) -> str:
    """Returns an interval as `--o---`, with the target as `|`."""

    def place(value: float) -> int:
        return round((_BAR - 1) * min(1.0, max(0.0, (value - low) / max(1 - low, 1e-9))))

    letters = ["-" if place(quality.low) <= at <= place(quality.high) else " " for at in range(_BAR)]
    if aimed is not None and aimed >= low:
        letters[place(aimed)] = "|"
    letters[place(quality.value)] = "o"
    return "".join(letters)


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
