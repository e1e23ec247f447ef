"""OpenAI's Chat Completions and all that speak it, Azure among them, outbound."""
