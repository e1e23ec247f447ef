"""The output of `weebill version`."""

from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec

from weebill import __version__


def version() -> str:
    """Returns the version, and if the hot path runs as extension modules or from its sources."""
    found = find_spec("weebill.transport.connection")
    compiled = found is not None and isinstance(found.loader, ExtensionFileLoader)
    return f"{__version__} (compiled: {'yes' if compiled else 'no'})"
