"""The host process of a local model: llama.cpp's server, its memory and its log."""
