"""The tiers of `auto` in words."""

from __future__ import annotations

from weebill.config.load import Configuration


def tiers_in_words(configuration: Configuration) -> str:
    """Returns the tiers, and whose choice the large one is if nobody configured it; "" if `auto` does not exist."""
    tiers = configuration.settings.auto.tiers
    named = ", ".join(f"{tier} {name}" for tier, name in tiers.items())
    large = configuration.large
    return named if large is None or not tiers else f"{named} (the flagship of {large.provider}, by the catalogue)"
