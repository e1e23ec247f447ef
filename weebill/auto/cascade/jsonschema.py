"""Checks a JSON value against a client's JSON Schema: draft 2020-12, or the one that `$schema` names.

Neither schema nor value can be trusted:

1. Nothing is fetched: references outside the schema are unknown.
2. The cost is bounded beforehand (`schema_cost`), and patterns are matched in linear time, so patterns with lookaround
   or back references are unknown, too.
3. `jsonschema_rs` does the rest. It is imported with the first schema: most workers never see one.
"""

from __future__ import annotations

from typing import Final

from weebill.auto.cascade.schema_cost import Allowance, Json, TooCostlyError, UnclearError, check_cost

# The size of a compiled pattern, in bytes. The first is enough for some thousand states, or a few classes of Unicode;
# the second is small, as a pattern with more states gains nothing by keeping them.
_PATTERN_BYTES: Final = 100_000
_PATTERN_CACHE_BYTES: Final = 10_000


class CannotTell(Exception):  # noqa: N818 - a result rather than an error
    """The schema is invalid, refers outside itself, uses unknown keywords, or is too much work."""


def fits(value: Json, schema: Json, allowance: Allowance) -> bool:
    """True if `value` fits `schema`. Spends `allowance`, and holds the interpreter for some 50 ms at most. Raises
    CannotTell.
    """
    if not isinstance(schema, dict | bool):
        raise CannotTell("the schema is neither an object nor true or false")
    try:
        check_cost(value, schema, allowance)
    except (TooCostlyError, UnclearError) as error:
        raise CannotTell(str(error)) from error
    import jsonschema_rs  # takes 15 ms and 6 MB

    try:
        validator = jsonschema_rs.validator_for(
            schema,
            validate_formats=True,
            offline=True,
            pattern_options=jsonschema_rs.RegexOptions(_PATTERN_BYTES, _PATTERN_CACHE_BYTES),
        )
        return validator.is_valid(value)
    except Exception as error:  # invalid schemas and invalid JSON raise errors of several kinds
        raise CannotTell(f"the schema cannot be used: {str(error)[:200]}") from error
