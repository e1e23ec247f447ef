"""Errors of running a model."""

from __future__ import annotations


class EngineError(Exception):
    """An engine did not start, or does not answer as expected; its log says why."""


class ProgramError(EngineError):
    """A program that is an engine has ended, or does nothing; what it said last may tell why."""
