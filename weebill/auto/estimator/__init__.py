"""From a request's text alone, how likely each tier is to answer it well.

`Estimator` estimates; `targets` turns what an operator asks for into a threshold on the estimate, and holds it under
drift. NumPy is all that is needed, and only where `Estimator.load` or what is built on it is called.
"""
