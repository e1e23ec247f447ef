"""Trains and evaluates the router that `weebill.auto.estimator` runs. Needs the extra `train`; nothing that serves
imports it.
"""
