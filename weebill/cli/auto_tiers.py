"""The tiers of `auto` and its like in words."""

from __future__ import annotations

from collections.abc import Mapping

from weebill.config.auto import Tier
from weebill.config.load import Configuration


def tiers_in_words(configuration: Configuration) -> dict[str, str]:
    """Returns the tiers of each virtual model, and whose choice the large one is if nobody configured it."""
    return {name: _in_words(each.tiers, configuration) for name, each in configuration.settings.autos.items()}


def _in_words(tiers: Mapping[Tier, str], configuration: Configuration) -> str:
    named = ", ".join(f"{tier} {name}" for tier, name in tiers.items())
    large = configuration.large
    chosen = large is not None and tiers["large"] == large.model
    return f"{named} (the flagship of {large.provider}, by the catalogue)" if large and chosen else named
