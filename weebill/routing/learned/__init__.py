"""The learned router: from a request's text alone, how likely each tier is to answer it well.

`Router` estimates; `targets` turns what an operator asks for into a threshold on the estimate, and holds it under
drift; `training` and `evaluation` are for the command line. NumPy is all that is needed, and only where `Router.load`
or what is built on it is called.
"""
