"""Serves an engine that is written in Python: HTTP on one thread, the work on another."""
