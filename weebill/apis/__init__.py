"""Inbound APIs: a pure translator for each API that clients may speak."""
