"""Weebill: one OpenAI-compatible endpoint where compact models carry most of the work."""

__version__ = "0.1.0"
