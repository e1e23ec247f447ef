"""Watches servers for models, such as vLLM and SGLang: their health, their models and their load."""
