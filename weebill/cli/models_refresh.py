"""`weebill catalog refresh`: takes over prices and limits from models.dev, after showing the changes."""

from __future__ import annotations

import urllib.error
import urllib.request
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

import typer

from weebill.catalog.load import load
from weebill.catalog.modelsdev import Change, Difference, FormatError, Snapshot, compare, parse
from weebill.catalog.overlay import FILE_NAME, Overlay, OverlayError, merge_into, read, write
from weebill.cli.asking import confirm
from weebill.cli.errors import CommandError
from weebill.cli.models_catalogue import dollars
from weebill.cli.output import NOTHING, print_json, print_table
from weebill.config.paths import Home

MODELS_DEV = "https://models.dev/api.json"
MAX_BYTES = 64 * 1024 * 1024
TIMEOUT_S = 30.0
_HINT = "check the address and the network, or download it and give --from FILE"
_AGENT = "weebill (catalog refresh)"


def refresh(home: Home, source: str, *, yes: bool, add: bool, as_json: bool) -> None:
    """Shows how `source`, a file or URL in models.dev's format, differs; writes the overlay once that is confirmed.

    With `as_json`, writes nothing unless `yes`. Raises CommandError.
    """
    path = home.root / FILE_NAME
    try:
        snapshot = parse(_read(source))
        before = read(path)
        difference = compare(load(path), snapshot)
    except FormatError as error:
        raise CommandError(f"{source} is {error}", f"it takes {MODELS_DEV}, or a file like it") from error
    except OverlayError as error:
        raise CommandError(str(error), f"remove {path} and try again") from error
    if as_json:
        print_json({"changes": difference.changes, "new": difference.new, "gone": difference.gone})
    else:
        _show(difference, add)
    if not difference.changes and not (add and difference.new):
        return
    if as_json and not yes:
        return
    confirm("Nothing is written yet.", f"Write them to {path}?", yes)
    _write(home, path, before, difference, snapshot, add)
    if not as_json:
        typer.echo(f"Written to {path}; `weebill reload` makes a running Weebill use it")


def _write(home: Home, path: Path, before: Overlay, difference: Difference, snapshot: Snapshot, add: bool) -> None:
    home.create()
    today = datetime.now(UTC).date().isoformat()
    new = difference.new if add else ()
    write(path, merge_into(before, difference.offers, new, snapshot.source, today))


def _read(source: str) -> bytes:
    data = _fetch(source) if source.startswith(("https://", "http://")) else _read_file(source)
    if len(data) > MAX_BYTES:
        raise CommandError(f"{source} is larger than {MAX_BYTES} bytes", f"it takes {MODELS_DEV}, or a file like it")
    return data


def _fetch(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"user-agent": _AGENT})  # noqa: S310 - http and https only
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            data: bytes = response.read(MAX_BYTES + 1)
            return data
    except urllib.error.HTTPError as error:
        raise CommandError(f"cannot fetch {url}: it answered with status {error.code}", _HINT) from error
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise CommandError(f"cannot fetch {url}: {reason}", _HINT) from error


def _read_file(name: str) -> bytes:
    try:
        with Path(name).expanduser().open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CommandError(
            f"cannot read {name}: {error.strerror}", f"give a file or an address, such as {MODELS_DEV}"
        ) from error


def _show(difference: Difference, add: bool) -> None:
    if difference.changes:
        typer.echo("Prices are dollars per million tokens")
        print_table(("MODEL", "PROVIDER", "NAME THERE", "WHAT", "OLD", "NEW", "CHANGE"), map(_row, difference.changes))
    else:
        typer.echo("All known prices and limits are the same")
    if difference.new:
        state = "new" if add else "new, not added"
        typer.echo("")
        print_table(
            ("MODEL", "PROVIDERS", ""),
            (
                (model.id, " ".join(dict.fromkeys(offer.provider for offer in model.offers)), state)
                for model in difference.new
            ),
        )
        if not add:
            typer.echo("--add adds them")
    if difference.gone:
        names = ", ".join("/".join(each) for each in difference.gone)
        typer.echo(f"\nNot there any more, kept as they are: {names}")


def _row(change: Change) -> tuple[str, ...]:
    def shown(value: int | None) -> str:
        if change.is_price:
            return dollars(value)
        return NOTHING if value is None else str(value)

    per_cent = change.per_cent
    return (
        change.model,
        change.provider,
        change.name,
        change.field.replace("_", " "),
        shown(change.old),
        shown(change.new),
        NOTHING if per_cent is None else f"{per_cent:+.0f} %",
    )
