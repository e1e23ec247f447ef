"""What each request used: recorded by workers in a journal, moved from there into the ledger exactly once."""
