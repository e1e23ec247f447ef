"""`weebill db`: works on the ledger, even if Weebill is not running, and also while it is."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import msgspec
import typer

from weebill.accounts.pepper import ensure_pepper, read_pepper
from weebill.cli.asking import confirm
from weebill.cli.errors import CommandError, warn
from weebill.cli.output import console, day, print_json, print_table, size
from weebill.cli.targets import target
from weebill.config.ledger_errors import LedgerError
from weebill.config.load import Sources, load_database
from weebill.config.paths import Home
from weebill.config.schema import DatabaseSettings
from weebill.storage.backups.candidates import candidate_of
from weebill.storage.backups.making import back_up
from weebill.storage.backups.progress import Progress, Step, silent
from weebill.storage.backups.restoring import restore as put_back
from weebill.storage.database import Database
from weebill.storage.installation import pepper_hash
from weebill.storage.installation import rekey as revoke_all
from weebill.storage.opening import open_ledger
from weebill.storage.schema import LEDGER
from weebill.storage.sealing import Vault, count_lost
from weebill.storage.state import Contents, State, host_of, state_of
from weebill.usage.waiting import waiting_bytes

_PATIENCE_S: Final = 3600.0  # for a statement on PostgreSQL: rows by the million may be copied
_WORDS: Final[dict[Step, str]] = {
    "reading": "Reading the ledger",
    "checking": "Reading the backup",
    "keeping": "Keeping what is there",
    "writing": "Writing rows",
}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger's state as `--json` prints it; what is not known is null."""

    engine: str
    place: str
    schema: str
    schema_of_release: str
    bytes: int
    keys: int | None = None
    revoked_keys: int | None = None
    requests: int | None = None
    experiments: int | None = None
    last_request_at: float | None = None
    waiting_bytes: int | None = None


def info(sources: Sources, as_json: bool) -> None:
    """Prints the state of the ledger; changes nothing."""
    settings = load_database(sources)
    with _opened(sources.home, settings) as ledger:
        state = _state(sources.home, settings, ledger)
    if state is None:
        raise CommandError(f"there is no ledger {sources.home.database} yet", "`weebill serve` makes it")
    shown = _shown(sources.home, settings, state)
    if as_json:
        print_json(shown)
        return
    print_table(("LEDGER", shown.engine), _facts(shown))
    if shown.schema != shown.schema_of_release:
        typer.echo("\n" + _advice(shown.schema))


def upgrade(sources: Sources, quiet: bool) -> None:
    """Makes the ledger or brings it up to date, and says which."""
    sources.home.create()
    settings = load_database(sources)
    with _opened(sources.home, settings) as ledger:
        before = _state(sources.home, settings, ledger)
        ledger.change(lambda _: None)
    if quiet:
        typer.echo(LEDGER.newest)
    elif before is None or not before.revision:
        typer.echo(f"Made the ledger, with schema {LEDGER.newest}")
    elif before.revision == LEDGER.newest:
        typer.echo(f"The ledger is up to date, with schema {LEDGER.newest}")
    else:
        typer.echo(f"Brought the ledger from schema {before.revision} to {LEDGER.newest}")


def backup(sources: Sources, file: Path, overwrite: bool, quiet: bool, as_json: bool) -> None:
    """Writes a backup."""
    file = target(sources.home, file, sources.file)
    with _opened(sources.home, load_database(sources)) as ledger, _progress(quiet) as progress:
        written = back_up(ledger, file, overwrite=overwrite, progress=progress)
    if quiet:
        typer.echo(file)
        return
    if as_json:
        print_json({"file": str(file), "bytes": written})
        return
    typer.echo(f"Wrote {file} ({size(written)})")
    typer.echo(
        f"Keep {sources.home.pepper} as well, elsewhere: it is not in the backup, and without it no key is recognised"
    )
    if sources.home.master_key.exists():
        typer.echo(f"Keep {sources.home.master_key}, too: without it, what is sealed in the backup cannot be opened")


def restore(sources: Sources, file: Path, yes: bool, quiet: bool) -> None:
    """Puts a backup in the ledger's place, once that is confirmed."""
    home, file = sources.home, file.expanduser().absolute()
    home.create()
    settings = load_database(sources)
    with _opened(home, settings) as ledger, ExitStack() as stack:
        with _progress(quiet) as progress:
            candidate = stack.enter_context(candidate_of(file, home.database, progress))
        there = _contents(home, settings, ledger)
        if there is None or there.anything:
            confirm(_stakes(settings, there), f"Replace it with {_in_words(candidate.contents)}?", yes)
        with _progress(quiet) as progress:
            kept = put_back(ledger, candidate, progress)
    if quiet:
        typer.echo(kept or "")
    else:
        typer.echo(f"Restored {_in_words(candidate.contents)} from {file}")
        if kept:
            typer.echo(f"What was there is in {kept}")
    if not _recognises(home, candidate.pepper, candidate.contents):
        warn(
            f"the restored keys are made with a {home.pepper.name} that this installation has not: put it into "
            f"{home.root} and restart, or let `weebill db rekey` revoke all keys"
        )
    for lost in lost_in(home, settings):
        warn(lost)


def lost_in(home: Home, settings: DatabaseSettings) -> Iterator[str]:
    """Yields a sentence for each kind of secret in the ledger that this installation cannot open."""
    with open_ledger(home, settings) as ledger:
        keys = Vault(home).keys()
        lost = ledger.read(lambda connection: count_lost(connection, keys))
    for noun, number in lost.items():
        yield (
            f"{number:,} {noun} cannot be opened: they are sealed with a {home.master_key.name} that this installation "
            f"has not. Put it into {home.root}, or give them anew"
        )


def rekey(sources: Sources, yes: bool, quiet: bool) -> None:
    """Revokes all keys, and lets the ledger know this installation's pepper."""
    home = sources.home
    home.create()
    with _opened(home, load_database(sources)) as ledger:
        confirm("Clients of all API keys will need new ones.", "Revoke all keys?", yes)
        count = revoke_all(ledger, ensure_pepper(home.pepper, lambda: 0))
    revoked = f"{count} key{'' if count == 1 else 's'}"
    typer.echo(count if quiet else f"Revoked {revoked}; `weebill keys create NAME` makes new ones")


@contextmanager
def _opened(home: Home, settings: DatabaseSettings) -> Iterator[Database]:
    with open_ledger(home, settings, patience_s=None if settings.url is None else _PATIENCE_S) as ledger:
        yield ledger


def _state(home: Home, settings: DatabaseSettings, ledger: Database) -> State | None:
    """Returns the ledger's state, None if there is no file of it."""
    return None if settings.url is None and not home.database.exists() else state_of(ledger)


def _contents(home: Home, settings: DatabaseSettings, ledger: Database) -> Contents | None:
    """Returns what would be replaced; None if nobody can say."""
    try:
        state = _state(home, settings, ledger)
    except LedgerError:
        if settings.url is not None:
            raise
        return None  # damaged: what a backup is for
    if state is None or not state.revision:
        return Contents(0, 0, 0, 0)
    return state.contents


def _stakes(settings: DatabaseSettings, there: Contents | None) -> str:
    present = "something that nobody can read" if there is None else _in_words(there)
    kept = "which will be kept beside it" if settings.url is None else "which will not be kept (`pg_dump` does that)"
    return f"The ledger has {present}, {kept}."


def _in_words(contents: Contents) -> str:
    parts = ((contents.keys, "active key"), (contents.requests, "request"), (contents.experiments, "experiment"))
    return ", ".join(f"{number:,} {noun}{'' if number == 1 else 's'}" for number, noun in parts)


def _recognises(home: Home, pepper: bytes | None, contents: Contents) -> bool:
    """True unless the keys are known to be made with another pepper than that of `home`."""
    if not contents.keys:
        return True
    if not home.pepper.exists():
        return False
    return pepper is None or pepper == pepper_hash(read_pepper(home.pepper))


def _shown(home: Home, settings: DatabaseSettings, state: State) -> Shown:
    place = state.place if settings.url is None else f"{host_of(settings.url)}, {state.place}"
    shown = Shown(
        engine=state.engine,
        place=place,
        schema=state.revision,
        schema_of_release=LEDGER.newest,
        bytes=state.bytes,
    )
    if state.contents is None:
        return shown
    return msgspec.structs.replace(
        shown,
        keys=state.contents.keys,
        revoked_keys=state.contents.revoked,
        requests=state.contents.requests,
        experiments=state.contents.experiments,
        last_request_at=state.last_at,
        waiting_bytes=waiting_bytes(home.journal, state.marks),
    )


def _facts(shown: Shown) -> Iterator[tuple[str, str]]:
    yield "place", shown.place
    yield "schema", f"{shown.schema or 'none'} (this release has {shown.schema_of_release})"
    yield "size", size(shown.bytes)
    if shown.keys is None:
        return
    yield "keys", f"{shown.keys:,} active, {shown.revoked_keys:,} revoked"
    yield "requests", f"{shown.requests:,}"
    yield "last request", day(shown.last_request_at)
    yield "experiments", f"{shown.experiments:,}"
    yield "waiting in the journal", size(shown.waiting_bytes or 0)


def _advice(found: str) -> str:
    if found > LEDGER.newest:
        return "It was made by a newer release: install that one again, or let this one have a database of its own"
    return "`weebill db upgrade` brings it up to date; so does the next start"


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """Yields what shows progress on stderr, on a terminal."""
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich.progress import BarColumn, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console(stderr=True), transient=True) as bar:
        tasks: dict[Step, TaskID] = {}

        def tell(step: Step, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bar.add_task(_WORDS[step], total=total)
            bar.update(tasks[step], completed=done, total=total)

        yield tell
