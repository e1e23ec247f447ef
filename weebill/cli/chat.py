"""`weebill run`: asks a model from the terminal, through the gateway like any client."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from weebill.cli.client import ChatClient, ChatMessage
from weebill.cli.errors import CommandError, Explanation, show
from weebill.config.load import Sources, load_database
from weebill.supervisor.commands import Status, StatusRequest, ask

MAX_PROMPT_BYTES = 8 * 1024 * 1024
KEY_NAME = "weebill run"
HELP = "Ask away. /clear forgets the conversation, /bye or Ctrl-D ends it, Ctrl-C stops an answer."
# Control characters that could rewrite the terminal; a model may have been told to print them.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def run(sources: Sources, model: str, prompt: str | None) -> None:
    """Prints the answer to `prompt`, or to standard input; on a terminal without a prompt, starts a chat."""
    status = ask(sources.home, StatusRequest(), Status)
    interactive = prompt is None and sys.stdin.isatty()
    if prompt is None and not interactive:
        prompt = sys.stdin.buffer.read(MAX_PROMPT_BYTES + 1).decode(errors="replace").strip()
        if not prompt or len(prompt) > MAX_PROMPT_BYTES:
            raise CommandError("the prompt on standard input is empty or too long", "echo 'Hello' | weebill run mini")
    with temporary_key(sources, KEY_NAME) as key:
        client = ChatClient(status.origin, key, status.tls_cert)
        if interactive:
            _converse(client, model)
        else:
            _answer(client, model, [ChatMessage("user", prompt or "")])


def _converse(client: ChatClient, model: str) -> None:
    import readline  # noqa: F401 - gives input() line editing and history

    typer.echo(HELP)
    conversation: list[ChatMessage] = []
    while True:
        try:
            said = input(">>> ").strip()
        except (EOFError, KeyboardInterrupt):
            typer.echo()
            return
        match said:
            case "":
                continue
            case "/bye":
                return
            case "/clear":
                conversation.clear()
            case _ if said.startswith("/"):
                typer.echo(HELP)
            case _:
                turn = ChatMessage("user", said)
                try:
                    answer = _answer(client, model, [*conversation, turn])
                except KeyboardInterrupt:
                    typer.echo()
                except CommandError as error:
                    show(Explanation((str(error),), error.hint))
                else:
                    conversation += [turn, ChatMessage("assistant", answer)]


def _answer(client: ChatClient, model: str, conversation: list[ChatMessage]) -> str:
    on_terminal = sys.stdout.isatty()
    answer = []
    for text in client.stream(model, conversation):
        answer.append(text)
        sys.stdout.write(_CONTROL.sub("", text) if on_terminal else text)
        sys.stdout.flush()
    typer.echo()
    return "".join(answer)


@contextmanager
def temporary_key(sources: Sources, name: str) -> Iterator[str]:
    """Yields the user's key, or one that is revoked at the end of this command."""
    if given := os.environ.get("WEEBILL_API_KEY"):
        yield given
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)  # otherwise the key would not be revoked
    from weebill.storage.keys import open_keys  # takes a while, and is not needed for a key that is given

    with open_keys(sources.home, load_database(sources)) as keys:
        created = keys.create(name)
        try:
            yield created.secret
        finally:
            keys.revoke(created.key.id)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
