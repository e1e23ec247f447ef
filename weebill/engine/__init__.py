"""The host process of a local model: the engine that runs it, its memory and its log."""
