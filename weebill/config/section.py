"""Types for all settings tables."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

PositiveInt = Annotated[int, Meta(ge=1)]
NonNegativeInt = Annotated[int, Meta(ge=0)]
PositiveSeconds = Annotated[float, Meta(gt=0)]
Seconds = Annotated[float, Meta(ge=0)]
Name = Annotated[str, Meta(min_length=1, max_length=200)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every settings table.

    `derived` fields are worked out, and nobody may write them. In a table that `takes_named`, each further table is one
    of the same type under a name of the user's choice.
    """

    derived: ClassVar[frozenset[str]] = frozenset()
    takes_named: ClassVar[bool] = False
