"""Anthropic's Messages, outbound."""
