"""`auto`: which tier answers a request. Rules first, then what the learned router expects, held to a target."""
