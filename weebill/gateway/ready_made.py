"""Modules that are imported only if the settings use them, and before a request would wait for that."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from weebill.config.schema import Settings

if TYPE_CHECKING:
    from weebill.cache.semantic import Embed


@cache
def embedder() -> Embed:
    """Returns the function that embeds texts, which needs NumPy."""
    from weebill.auto.estimator.embedding import Embedder

    return Embedder.load().embed


def prepare(settings: Settings) -> None:
    """Imports what requests would wait for otherwise."""
    if settings.cache.enabled and settings.cache.semantic:
        embedder()
