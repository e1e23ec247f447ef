"""Static vectors: the vector of a text is the mean of those of its tokens."""
