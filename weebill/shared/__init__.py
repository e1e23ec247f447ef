"""What processes share: among machines a Redis, on one machine a folder."""
