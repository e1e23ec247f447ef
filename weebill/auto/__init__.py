"""`auto`: picks the tier that answers a request. Rules come first, then the estimate, held to a target."""
