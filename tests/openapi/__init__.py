"""OpenAI's own description of its API, and whether what Weebill answers fits it."""
