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
String: Final[TypeEngine[str]] = Text()
Binary: Final[TypeEngine[bytes]] = LargeBinary()

MOST: Final = 2**63 - 1
"""The greatest `Whole`."""
