"""The cache of answers, for the same question or one of nearly the same meaning."""
