"""Trains and evaluates what `weebill.auto.estimator` runs. Needs the extra `train`; nothing that serves imports it."""
