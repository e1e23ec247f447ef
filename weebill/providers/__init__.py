"""A pure translator for each dialect that an upstream may speak."""
