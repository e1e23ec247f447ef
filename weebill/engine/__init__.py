"""Compact models on this machine: the store of their files, how they are fetched, and the host that runs one."""
