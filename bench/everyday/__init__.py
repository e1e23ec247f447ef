"""Everyday prompts for `auto`: real answers of the default model, and a large tier that is right."""
