"""Writes the table of the last runs into the documentation: `python -m tests.clients`, after `make clients`."""

from pathlib import Path
from typing import Final

from tests.clients.results import table

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "clients.md"
BEGIN, END = "<!-- results -->", "<!-- /results -->"

before, _, rest = DOCUMENT.read_text().partition(BEGIN)
after = rest.partition(END)[2]
DOCUMENT.write_text(f"{before}{BEGIN}\n\n{table()}\n\n{END}{after}")
