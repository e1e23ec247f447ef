"""`$WEEBILL_HOME/catalog.json`: prices, limits and models of an installation's own, laid over the package's files.

`weebill catalog refresh` writes it; the package's files stay as they were reviewed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec
from msgspec.structs import replace

from weebill.catalog.schema import Model, Offer, Row

FILE_NAME = "catalog.json"


class OverlayError(ValueError):
    """An overlay that cannot be used; the message names the file and says why."""


class Overlay(Row, frozen=True, kw_only=True):
    """The file. `offers` take the place of those with the same provider and name; `models` are new ones."""

    source: str = ""
    date: str = ""
    offers: tuple[Offer, ...] = ()
    models: tuple[Model, ...] = ()


def read(path: Path) -> Overlay:
    """What is in the file; nothing if there is none. Raises OverlayError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Overlay)
    except FileNotFoundError:
        return Overlay()
    except OSError as error:
        raise OverlayError(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise OverlayError(f"{path} is no catalogue overlay: {error}") from error


def write(path: Path, overlay: Overlay) -> None:
    """Replace the file in one step, so that nobody reads half of it. Raises OSError."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(lines(overlay))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def merge(models: Iterable[Model], overlay: Overlay) -> list[Model]:
    """Models with the overlay's own among them, and its offers in place of those that they have.

    An offer of the overlay that no model has any more is left out: the package has dropped it since.
    """
    merged = {model.id: model for model in models}
    served = {(offer.provider, offer.name) for model in merged.values() for offer in model.offers}
    for model in overlay.models:
        new = tuple(offer for offer in model.offers if (offer.provider, offer.name) not in served)
        known = merged.get(model.id)
        merged[model.id] = replace(known, offers=known.offers + new) if known else replace(model, offers=new)
    changed = {(offer.provider, offer.name): offer for offer in overlay.offers}
    for model in merged.values() if changed else ():
        offers = tuple(changed.get((offer.provider, offer.name), offer) for offer in model.offers)
        if offers != model.offers:
            merged[model.id] = replace(model, offers=offers)
    return [merged[name] for name in sorted(merged)]


def merge_into(overlay: Overlay, offers: Iterable[Offer], models: Iterable[Model], source: str, date: str) -> Overlay:
    """The overlay with further offers, which take the place of its own, and further models."""
    of_offers = {(offer.provider, offer.name): offer for offer in (*overlay.offers, *offers)}
    of_models = {model.id: model for model in overlay.models}
    for model in models:
        known = of_models.get(model.id)
        of_models[model.id] = replace(known, offers=known.offers + model.offers) if known else model
    return Overlay(source=source, date=date, offers=tuple(of_offers.values()), models=tuple(of_models.values()))


def lines(overlay: Overlay) -> bytes:
    """The file's bytes: a row to a line, so that differences read well."""
    head = {"source": overlay.source, "date": overlay.date}
    return file_of_rows(head, {"offers": overlay.offers, "models": overlay.models})


def file_of_rows(head: dict[str, str], tables: dict[str, tuple[Row, ...]]) -> bytes:
    """A data file: plain values, then tables with a row to a line."""
    encode = msgspec.json.Encoder(order="deterministic").encode
    parts = [encode(key) + b": " + encode(value) for key, value in head.items()]
    for name, rows in tables.items():
        body = b",\n".join(msgspec.json.encode(row) for row in rows)
        parts.append(encode(name) + b": [" + (b"\n" + body + b"\n" if rows else b"") + b"]")
    return b"{\n" + b",\n".join(parts) + b"\n}\n"
