"""Benchmarks: Weebill beside its peers, on this machine."""
