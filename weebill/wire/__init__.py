"""The public formats that both sides speak: types, errors and event streams."""
