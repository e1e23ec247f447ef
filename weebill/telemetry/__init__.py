"""Metrics that cost the hot path next to nothing: counters in shared memory, and their Prometheus text."""
