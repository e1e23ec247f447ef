"""Checks of a small model's answer, of the whole or of its beginning."""
