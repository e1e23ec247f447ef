"""Every provider's endpoints on loopback, answering from `tests/vectors` as the provider frames it.

The scenario is the model's name in the request; `two-turn` calls tools until it is given results.
"""
