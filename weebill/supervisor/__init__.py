"""Runs the processes of an installation: starts, watches, informs and drains them."""
