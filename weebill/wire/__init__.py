"""What goes over the wire to clients: OpenAI's types, errors and event streams."""
