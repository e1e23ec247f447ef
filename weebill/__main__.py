"""`python -m weebill` is `weebill`."""

from weebill.cli import main

main()
