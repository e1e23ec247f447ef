"""Reads the catalogue: the packaged data files, with an installation's own prices laid over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import msgspec

from weebill.catalog.overlay import OverlayError, merge, read
from weebill.catalog.schema import Model, ModelFile, Offer, Provider, ProviderFile

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class Catalogue:
    """The indexed catalogue. `models` and `providers` are sorted by id, as in their files."""

    providers: Mapping[str, Provider]
    models: Mapping[str, Model]
    source: str = ""
    date: str = ""
    _offers: Mapping[tuple[str, str], tuple[Model, Offer]] = field(default_factory=dict, repr=False)
    _short: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, providers: Iterable[Provider], models: Iterable[Model], source: str = "", date: str = "") -> Catalogue:
        """Indexes rows. A name without its author finds a model only if it is unambiguous."""
        by_id = {model.id: model for model in models}
        short: dict[str, str] = {}
        for name in by_id:
            tail = name.rpartition("/")[2]
            short[tail] = "" if tail in short else name
        return cls(
            {provider.id: provider for provider in providers},
            by_id,
            source,
            date,
            {(offer.provider, offer.name): (model, offer) for model in by_id.values() for offer in model.offers},
            {tail: name for tail, name in short.items() if name},
        )

    def served(self, provider: str, name: str) -> tuple[Model, Offer] | None:
        """Returns the model that `provider` calls `name`, and its offer."""
        return self._offers.get((provider, name))

    @property
    def offers(self) -> Mapping[tuple[str, str], tuple[Model, Offer]]:
        """All offers with their models, by the provider and its name of the model."""
        return self._offers

    def find(self, name: str) -> Model | None:
        """Returns the model called `author/name`, `name` alone if unambiguous, or `provider/its-name-there`."""
        if model := self.models.get(name) or self.models.get(self._short.get(name, "")):
            return model
        provider, _, upstream = name.partition("/")
        found = self.served(provider, upstream)
        return found[0] if found else None


def load(overlay: Path | None = None) -> Catalogue:
    """Returns the catalogue; `overlay` is `$WEEBILL_HOME/catalog.json`, which need not exist. Cached until it changes.

    Raises OverlayError if the overlay cannot be used.
    """
    try:
        stamp = None if overlay is None else overlay.stat()
    except FileNotFoundError:
        stamp = None
    except OSError as error:
        raise OverlayError(f"{overlay}: {error.strerror}") from error
    return _package() if stamp is None or overlay is None else _with(overlay, stamp.st_mtime_ns, stamp.st_size)


@lru_cache(maxsize=1)
def providers() -> Mapping[str, Provider]:
    """Returns the providers alone, which are in a small file, by id."""
    file = msgspec.json.decode((DATA / "providers.json").read_bytes(), type=ProviderFile)
    return {provider.id: provider for provider in file.providers}


@lru_cache(maxsize=1)
def _package() -> Catalogue:
    file = msgspec.json.decode((DATA / "models.json").read_bytes(), type=ModelFile)
    return Catalogue.of(providers().values(), file.models, file.source, file.date)


@lru_cache(maxsize=2)
def _with(overlay: Path, mtime_ns: int, size: int) -> Catalogue:
    base, laid = _package(), read(overlay)
    models = merge(base.models.values(), laid)
    return Catalogue.of(base.providers.values(), models, f"{base.source}; {laid.source}", laid.date)
