"""`weebill create --static-from`: static vectors made of an embedding model."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import typer

from weebill.cli.errors import CommandError
from weebill.cli.models import acceptance, offer_again
from weebill.cli.output import size
from weebill.cli.progress import show_progress
from weebill.config.load import Sources, load
from weebill.models import distilling
from weebill.models.last_words import both_ends, last_words
from weebill.models.store import ModelStore

_CHUNK: Final = 1 << 20


def distil(sources: Sources, name: str, base: str, other: object, accept_license: bool, quiet: bool) -> None:
    """Makes the model `name` of the embedding model `base`; `other` is what else was asked for, which cannot be."""
    if other is not None:
        raise CommandError("static vectors are made of a model as it is", f"weebill create {name} --static-from {base}")
    local = load(sources).settings.local
    threads = local.engine.threads

    def embed(file: Path, texts: Sequence[Sequence[int]], done: Callable[[int], None]) -> bytes:
        return _vectors(file, texts, threads, done)

    with show_progress(quiet) as progress:
        model = distilling.distil(
            ModelStore.of(local, sources.home), name, base, embed, progress, acceptance(accept_license, quiet)
        )
    offer_again(sources.home)
    if quiet:
        typer.echo(model.path)
    else:
        typer.echo(f"{name} is made of {base}; it has {size(model.size)}")


def _vectors(file: Path, texts: Sequence[Sequence[int]], threads: int, done: Callable[[int], None]) -> bytes:
    """Returns the vectors that the engine makes, in a process of its own. Raises CommandError."""
    command = [sys.executable, "-P", "-m", "weebill.engine.vectors", str(file), str(threads)]
    made = bytearray()
    with tempfile.TemporaryFile() as log:
        with subprocess.Popen(  # noqa: S603 - our own
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        ) as process:
            assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018 - both are pipes
            try:
                # It reads all of it before it writes anything; if it ends before, its status says so.
                with contextlib.suppress(BrokenPipeError), process.stdin:
                    process.stdin.write(msgspec.json.encode(texts))
                while chunk := os.read(process.stdout.fileno(), _CHUNK):
                    made += chunk
                    done(len(made))
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            reason = last_words(both_ends(log), process.returncode)
            hint = "`pip install 'weebill[local]'` brings the engine, if it is missing"
            raise CommandError(f"the engine made no vectors: {reason}", hint)
    return bytes(made)
