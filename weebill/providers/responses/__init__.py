"""OpenAI's Responses, outbound."""
