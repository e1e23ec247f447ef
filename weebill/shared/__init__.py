"""State that processes share: among machines through Redis, on one machine through a folder."""
