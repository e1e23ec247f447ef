"""Static vectors: a vector for each token, of which a text's is the mean."""
