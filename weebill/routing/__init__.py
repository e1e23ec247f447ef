"""From the name of a model to what can serve it."""
