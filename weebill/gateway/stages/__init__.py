"""The stages that a metered request passes, in order. Each is a file and calls the next one."""
