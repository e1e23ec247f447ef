"""The way of a request: authenticate, admit, route, call, settle."""
