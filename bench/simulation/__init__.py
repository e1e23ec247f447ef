"""Routing under failures, in virtual time: the real routing core beside plain policies, reproducible from a seed."""
