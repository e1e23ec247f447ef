"""`auto`: which tier answers a request. Rules first, then what the estimator expects, held to a target."""
