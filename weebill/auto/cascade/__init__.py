"""Tells whether a small model's answer will do: checks of the whole of it or of its beginning."""
