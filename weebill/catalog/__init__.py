"""Facts about providers and models, as data tables."""
