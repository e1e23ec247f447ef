"""Signing in: the pages and endpoints, and what is behind them."""
