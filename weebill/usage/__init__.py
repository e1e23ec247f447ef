"""The usage of requests: workers record it in a journal, and it is moved from there into the ledger exactly once."""
