"""Ollama's API, inbound."""
