"""The engine hosts of this machine: OpenAI's dialect with quirks."""
