"""Advice to whoever has to mend a failure of a database."""
