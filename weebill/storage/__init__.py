"""The SQLite ledger: connections, migrations, and what is kept in it."""
