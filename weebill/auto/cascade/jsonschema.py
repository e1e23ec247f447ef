"""Tells whether a JSON value fits a client's JSON Schema: draft 2020-12, or the one that `$schema` names.

The schema is a stranger's, and so is the value:

1. Nothing is fetched: what lies outside the schema is not known here.
2. The cost is bounded before anything is done (`schema_cost`), and patterns are matched in linear time, so those with
   lookaround or references back are not known either.
3. `jsonschema_rs` does the rest. It is loaded with the first schema: most workers never see one.
"""

from __future__ import annotations

from typing import Final

from weebill.auto.cascade.schema_cost import Allowance, Json, TooCostlyError, UnclearError, check_cost

# Of a compiled pattern, in bytes. The first is enough for some thousand states, or a few classes of Unicode; the second
# is small, as a pattern that needs more states than that gains nothing by keeping them.
_PATTERN_BYTES: Final = 100_000
_PATTERN_CACHE_BYTES: Final = 10_000


class CannotTell(Exception):  # noqa: N818 - an answer rather than an error
    """The schema is none, refers to what is not here, uses what is not known here, or is too much work."""


def fits(value: Json, schema: Json, allowance: Allowance) -> bool:
    """Tells whether `value` fits `schema`, at the expense of `allowance`. Raises CannotTell.

    Holds the interpreter up for some 50 ms at most.
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
    except Exception as error:  # errors of the schema are of several kinds, and so are those of what is no JSON
        raise CannotTell(f"the schema cannot be used: {str(error)[:200]}") from error
