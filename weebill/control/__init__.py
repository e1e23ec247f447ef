"""The control process: management API, status page, and the one place where usage enters the ledger."""
