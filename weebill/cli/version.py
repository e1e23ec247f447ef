"""The output of `weebill version`."""

from importlib.machinery import ExtensionFileLoader
from importlib.util import find_spec

import typer

from weebill import __version__


def tell(as_json: bool) -> None:
    """Prints the version, and if the hot path runs as extension modules or from its sources."""
    found = find_spec("weebill.transport.connection")
    compiled = found is not None and isinstance(found.loader, ExtensionFileLoader)
    if as_json:
        from weebill.cli.output import print_json  # Rich takes longer to import than this to say

        print_json({"version": __version__, "compiled": compiled})
    else:
        typer.echo(f"{__version__} (compiled: {'yes' if compiled else 'no'})")
