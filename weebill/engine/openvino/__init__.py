"""OpenVINO GenAI in this process: llama.cpp's API over its continuous batching, from the same GGUF."""
