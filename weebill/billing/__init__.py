"""Credits of organisations: what they have been given and have paid, what their usage costs them, and what is left."""
