"""Anthropic's Messages, inbound."""
