"""Google's Gemini API, inbound."""
