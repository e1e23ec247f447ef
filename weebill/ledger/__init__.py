"""The ledger process: ingests usage, and answers the other processes about keys, experiments and responses."""
