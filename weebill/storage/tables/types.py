"""Types of columns that both databases have. SQLite's STRICT tables know five names, so each has a variant."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Double, Integer, LargeBinary, Text
from sqlalchemy.dialects.sqlite import REAL
from sqlalchemy.types import TypeEngine

Whole: Final[TypeEngine[int]] = BigInteger().with_variant(Integer(), "sqlite")
"""64 bits, signed."""
Flag: Final[TypeEngine[bool]] = Boolean().with_variant(Integer(), "sqlite")
Fraction: Final[TypeEngine[float]] = Double().with_variant(REAL(), "sqlite")
String: Final[TypeEngine[str]] = Text().with_variant(Text(collation="C"), "postgresql")
"""In the order of its characters' numbers on both, wherever it runs and whichever library sorts there."""
Binary: Final[TypeEngine[bytes]] = LargeBinary()

MOST: Final = 2**63 - 1
"""The greatest `Whole`."""
