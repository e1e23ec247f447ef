"""Ollama's own API, outbound."""
