"""Errors about an image that a client has sent."""

from __future__ import annotations


class ImageError(Exception):
    """The image cannot be used; `str(error)` says why, for the client."""


class ImagesBusyError(Exception):
    """There is too much to do with others' images."""
