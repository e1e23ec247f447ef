"""The ledger process: takes in usage, and answers the other processes about keys, experiments and responses."""
