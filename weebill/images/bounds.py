"""The bounds of images, which workers know without the libraries that decode and fetch images."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The most pixels of an image, and the longest edge of what a model is given."""

    max_pixels: int
    max_edge: int


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The hosts that may be asked, the most bytes of an image, and the seconds for all of it."""

    hosts: Sequence[str]
    max_bytes: int
    seconds: float
