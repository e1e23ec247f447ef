"""API keys: the credentials of the gateway's clients."""
