"""Backups of the ledger: a backup is a SQLite ledger, whatever database it is of. So it can be restored into either."""
