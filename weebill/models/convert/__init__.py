"""Converts models from safetensors to GGUF, tensor by tensor and without the framework that made them."""
