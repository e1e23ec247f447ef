"""The control process: the management API and the status page."""
