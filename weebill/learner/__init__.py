"""The learner process: keeps the outcomes of `auto`, and tells the workers what follows from them."""
