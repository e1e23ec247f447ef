"""Compact models on this machine: the store of their files, fetching them, and the host that runs one."""
