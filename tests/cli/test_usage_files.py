"""Tables of usage as files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from weebill.cli.output import cost
from weebill.cli.usage_files import Column, write_csv


def test_what_clients_write_is_no_formula_in_a_spreadsheet(tmp_path: Path) -> None:
    """https://owasp.org/www-community/attacks/CSV_Injection"""
    columns = [Column("end_user", "text"), Column("requests", "whole")]
    written = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "ann", "", None]
    assert write_csv(tmp_path / "x.csv", columns, [[(each, -1) for each in written]]) == len(written)
    with (tmp_path / "x.csv").open(newline="") as file:
        found = list(csv.reader(file))
    assert [each for each, _ in found] == ["end_user", "'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "ann", "", ""]
    assert {number for _, number in found[1:]} == {"-1"}


@pytest.mark.parametrize(
    ("nano", "shown"),
    [
        (0, "$0.0000"),
        (4_500, "<$0.0001"),
        (49_999, "<$0.0001"),
        (50_000, "$0.0001"),
        (1_234_500_000_000, "$1,234.5000"),
    ],
)
def test_a_cost_is_not_nothing_if_it_is_little(nano: int, shown: str) -> None:
    assert cost(nano) == shown
