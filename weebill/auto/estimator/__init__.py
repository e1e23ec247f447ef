"""Estimates from a request's text how likely each tier is to answer it well.

`Estimator` estimates; `targets` turns an operator's target into a threshold on the estimate, and keeps it under drift.
NumPy is imported only when `Estimator.load`, or what builds on it, is called.
"""
