"""OpenAI's Responses, inbound."""
