"""`weebill router profile`."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import typer

from weebill.auto.intervals import proportion
from weebill.auto.profiles import Profile, Share
from weebill.cli.chat import temporary_key
from weebill.cli.client import ChatClient, RefusedError
from weebill.cli.errors import CommandError
from weebill.cli.output import NOTHING, print_json, print_table
from weebill.cli.router_progress import explained, show_progress
from weebill.cli.targets import target
from weebill.config.load import Sources
from weebill.factory.checkers import Answer, Call
from weebill.factory.profile import Answers, Ask, AskError, Outcome, grade, summarise
from weebill.factory.tasks import TASKS, Message, Task, read_tasks
from weebill.supervisor.commands import Status, StatusRequest, ask

_KEY_NAME: Final = "weebill router profile"
# The model's own failures; any other refusal is the gateway's or the provider's, and says nothing about the model.
_OF_THE_MODEL: Final = frozenset({400, 413, 422})
_UNSAFE: Final = re.compile(r"[^a-z0-9._-]+")
_TEMPERATURE: Final = 0.0


@dataclass(frozen=True)
class ProfileOptions:
    """The options of `weebill router profile`."""

    model: str
    tasks: Path | None
    minutes: float
    context: int
    afresh: bool
    wrong: Path | None
    out: Path | None
    as_json: bool


class _Format(msgspec.Struct, frozen=True):
    type: str = "json_object"


class _Request(msgspec.Struct, frozen=True, omit_defaults=True):
    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    temperature: float | None = None
    tools: tuple[msgspec.Raw, ...] = ()
    response_format: _Format | None = None


class _Function(msgspec.Struct, frozen=True):
    name: str
    arguments: str = "{}"


class _Call(msgspec.Struct, frozen=True):
    function: _Function


class _Message(msgspec.Struct, frozen=True):
    content: str | None = None
    tool_calls: tuple[_Call, ...] | None = None


class _Choice(msgspec.Struct, frozen=True):
    message: _Message


class _Reply(msgspec.Struct, frozen=True):
    choices: tuple[_Choice, ...]


def profile(sources: Sources, options: ProfileOptions) -> None:
    """Measures a model and writes its profile. Raises CommandError."""
    status = ask(sources.home, StatusRequest(), Status)
    home = sources.home
    home.profiles.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept_at = home.profiles / f"{_UNSAFE.sub('_', options.model.lower())}.json"
    out = kept_at if options.out is None else target(home, options.out, sources.file, made=home.profiles)
    answers = out.with_suffix(".answers.jsonl")
    with explained(), show_progress() as report:
        tasks = list(read_tasks(options.tasks or TASKS))
        earlier = {} if options.afresh else _read(answers)
        deadline = time.monotonic() + 60 * options.minutes
        with temporary_key(sources, _KEY_NAME) as key, closing(answers.open("wb" if options.afresh else "ab")) as kept:

            def keep(outcome: Outcome) -> None:
                kept.write(msgspec.json.encode(outcome) + b"\n")
                kept.flush()

            asked = Answers(_asker(ChatClient(status.origin, key, status.tls_cert), options.model), earlier, keep)
            if asked.collect(tasks, deadline=deadline, report=report):
                tasks += asked.collect_needles(_most_context(options, status), deadline=deadline, report=report)
        wrong = frozenset(options.wrong.read_text().split() if options.wrong else ())
        graded = grade(tasks, asked.outcomes, wrong)
        found = summarise(
            options.model,
            graded,
            date=datetime.now(UTC).date().isoformat(),
            source=_source(len(graded), len(tasks), len(wrong)),
            engine=f"weebill {status.version}",
            settings={"temperature": _TEMPERATURE},
        )
        out.write_bytes(msgspec.json.format(msgspec.json.encode(found)) + b"\n")
    if options.as_json:
        print_json(found)
        return
    _print(found)
    typer.echo(f"\nAsked {len(graded)} of {len(tasks)} tasks; written to {out}")
    if len(graded) < len(tasks):
        typer.echo("Time was up: the same command goes on from here", err=True)


def _source(graded: int, tasks: int, wrong: int) -> str:
    read = f"; {wrong} answers that pass the checks are wrong to a reader" if wrong else ""
    return f"weebill router profile, {graded} of {tasks} tasks{read}"


def _most_context(options: ProfileOptions, status: Status) -> int:
    """Returns the largest size of a text that the model can be given, in tokens."""
    windows = [model.context for model in status.models if model.name == options.model and model.ready]
    return min([options.context, *windows])


def _asker(client: ChatClient, model: str) -> Ask:
    def asking(task: Task) -> Answer:
        wanted = _Request(
            model,
            task.messages,
            task.max_tokens,
            _TEMPERATURE,
            task.tools,
            _Format() if task.json else None,
        )
        try:
            return _answer(client.whole(msgspec.json.encode(wanted)))
        except RefusedError as error:
            if error.status in _OF_THE_MODEL:
                raise AskError(str(error)) from error
            raise

    return asking


def _answer(body: bytes) -> Answer:
    try:
        reply = msgspec.json.decode(body, type=_Reply)
    except msgspec.DecodeError as error:
        raise CommandError(f"the gateway's answer cannot be read: {error}") from error
    if not reply.choices:
        return Answer()
    message = reply.choices[0].message
    calls = tuple(Call(each.function.name, each.function.arguments) for each in message.tool_calls or ())
    return Answer(message.content or "", calls)


def _read(path: Path) -> dict[str, Outcome]:
    """Returns the outcomes of earlier runs; a line that was cut, when the last run was killed, is none."""
    if not path.exists():
        return {}
    found = {}
    for line in path.read_bytes().splitlines():
        try:
            outcome = msgspec.json.decode(line, type=Outcome)
        except msgspec.DecodeError:
            continue
        found[outcome.task] = outcome
    return found


def _print(found: Profile) -> None:
    _print_shares("KIND", found.kinds)
    typer.echo()
    _print_shares("LANGUAGE", found.languages)
    typer.echo()
    rest: dict[str, Share] = {} if found.follow_up is None else {"follow-ups": found.follow_up}
    _print_shares("OTHERWISE", rest)
    typer.echo(f"finds a needle in texts of up to {found.context} tokens")


def _print_shares(heading: str, shares: Mapping[str, Share]) -> None:
    rows: Sequence[tuple[str, Share]] = sorted(shares.items(), key=lambda item: -item[1].right)
    print_table(
        (heading, "RIGHT", "95 %", "TASKS", "BY GUESSING"),
        (
            (name, f"{share.right:.0%}", _interval(share), f"{share.asked:.0f}", f"{share.guess:.0%}")
            for name, share in rows
        ),
    )


def _interval(share: Share) -> str:
    found = proportion(round(share.right * share.asked), round(share.asked))
    return NOTHING if found is None else f"{found.low:.0%} to {found.high:.0%}"
