"""Cohere's chat, outbound."""
