"""Answers that were given before, for the same question or nearly the same."""
