"""The bounds of images, which workers know without the library that decodes images."""

from __future__ import annotations

import msgspec


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """The most pixels of an image, and the longest edge of what a model is given."""

    max_pixels: int
    max_edge: int
