"""`weebill adapters`: LoRA adapters of servers such as vLLM, by way of the running discovery process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
import typer

from weebill.catalog.load import load as load_catalogue
from weebill.cli.errors import CommandError
from weebill.cli.output import print_json, print_table
from weebill.config.load import Sources, load
from weebill.config.paths import Home
from weebill.process.questions import Questions, Unanswered
from weebill.routing.adapters import (
    TIMEOUT_S,
    TOPIC,
    Adapted,
    Adapter,
    AdapterQuestion,
    ListAdapters,
    LoadAdapter,
    UnloadAdapter,
)
from weebill.routing.servers import watched

_decode_listed: Final = msgspec.msgpack.Decoder(list[Adapter]).decode
_decode_adapted: Final = msgspec.msgpack.Decoder(Adapted).decode


def list_adapters(home: Home, as_json: bool) -> None:
    """Prints the adapters that are loaded."""
    found = sorted(_decode_listed(_ask(home, ListAdapters())), key=lambda each: (each.provider, each.name))
    if as_json:
        print_json(found)
    elif found:
        print_table(("NAME", "PROVIDER", "ADAPTS"), ((each.name, each.provider, each.parent) for each in found))
    else:
        typer.echo("No adapter is loaded; `weebill adapters load NAME PATH` loads one")


def load_adapter(sources: Sources, name: str, path: str, providers: Sequence[str]) -> None:
    """Loads an adapter at each of the providers."""
    for provider in _chosen(sources, providers):
        _adapt(sources.home, LoadAdapter(provider, name, path))
        typer.echo(f"Loaded {name} at {provider}")


def unload_adapter(sources: Sources, name: str, providers: Sequence[str]) -> None:
    """Unloads an adapter at each of the providers."""
    for provider in _chosen(sources, providers):
        _adapt(sources.home, UnloadAdapter(provider, name))
        typer.echo(f"Unloaded {name} at {provider}")


def _chosen(sources: Sources, providers: Sequence[str]) -> Sequence[str]:
    """Returns the named providers, or the only one that takes adapters. Raises CommandError."""
    if providers:
        return providers
    known = [name for name, _, _ in watched(load(sources).settings, load_catalogue())]
    if len(known) == 1:
        return known
    if not known:
        raise CommandError("no server that takes adapters is configured", 'one has `catalog = "vllm"` or "sglang"')
    raise CommandError(f"there are several servers: {', '.join(known)}", "name those that you mean with `--provider`")


def _adapt(home: Home, wish: LoadAdapter | UnloadAdapter) -> None:
    outcome = _decode_adapted(_ask(home, wish))
    if outcome.status != 200:
        raise CommandError(f"{wish.provider}: {outcome.message}", "`weebill adapters` shows those that are loaded")


def _ask(home: Home, question: AdapterQuestion) -> msgspec.Raw:
    if not home.discovery_socket.exists():
        raise CommandError("no server is watched", "`weebill serve` watches those that are configured")
    return asyncio.run(_asked(home, question))


async def _asked(home: Home, question: AdapterQuestion) -> msgspec.Raw:
    questions = Questions(home.discovery_socket)
    try:
        return await questions.ask(TOPIC, question, TIMEOUT_S)
    except Unanswered as error:
        hint = "`weebill status` shows the processes"
        raise CommandError(f"the discovery process does not answer: {error}", hint) from error
    finally:
        questions.close()
