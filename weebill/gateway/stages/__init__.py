"""The stages that a metered request goes through, in order; each is a file, and knows of none but "what follows"."""
