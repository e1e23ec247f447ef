"""`$WEEBILL_HOME/catalog.json`: an installation's own prices, limits and models, laid over the packaged files.

`weebill catalog refresh` writes it; the packaged files stay as reviewed.
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
    """The overlay cannot be used; the message has the file and the reason."""


class Overlay(Row, frozen=True, kw_only=True):
    """The file. `offers` replace those with the same provider and name; `models` are new ones."""

    source: str = ""
    date: str = ""
    offers: tuple[Offer, ...] = ()
    models: tuple[Model, ...] = ()


def read(path: Path) -> Overlay:
    """Returns the contents of the file; an empty overlay if there is none. Raises OverlayError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Overlay)
    except FileNotFoundError:
        return Overlay()
    except OSError as error:
        raise OverlayError(f"{path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise OverlayError(f"{path} is no catalogue overlay: {error}") from error


def write(path: Path, overlay: Overlay) -> None:
    """Replaces the file atomically. Raises OSError."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_bytes(lines(overlay))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def merge(models: Iterable[Model], overlay: Overlay) -> list[Model]:
    """Returns the models with those of the overlay added, and offers replaced by the overlay's.

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
    """Returns the overlay with further models and offers, which replace its own."""
    of_offers = {(offer.provider, offer.name): offer for offer in (*overlay.offers, *offers)}
    of_models = {model.id: model for model in overlay.models}
    for model in models:
        known = of_models.get(model.id)
        of_models[model.id] = replace(known, offers=known.offers + model.offers) if known else model
    return Overlay(source=source, date=date, offers=tuple(of_offers.values()), models=tuple(of_models.values()))


def lines(overlay: Overlay) -> bytes:
    """Returns the file's bytes: a row on a line, so that diffs read well."""
    head = {"source": overlay.source, "date": overlay.date}
    return file_of_rows(head, {"offers": overlay.offers, "models": overlay.models})


def file_of_rows(head: dict[str, str], tables: dict[str, tuple[Row, ...]]) -> bytes:
    """Returns the bytes of a data file: plain values, then tables with a row on a line."""
    encode = msgspec.json.Encoder(order="deterministic").encode
    parts = [encode(key) + b": " + encode(value) for key, value in head.items()]
    for name, rows in tables.items():
        body = b",\n".join(msgspec.json.encode(row) for row in rows)
        parts.append(encode(name) + b": [" + (b"\n" + body + b"\n" if rows else b"") + b"]")
    return b"{\n" + b",\n".join(parts) + b"\n}\n"
