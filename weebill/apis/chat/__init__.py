"""OpenAI's Chat Completions, inbound."""
