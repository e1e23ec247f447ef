"""Schemas in SQLite files, one for each."""
