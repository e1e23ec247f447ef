"""Errors of running a model."""

from __future__ import annotations


class EngineError(Exception):
    """An engine did not start, or does not answer as expected; its log says why."""
