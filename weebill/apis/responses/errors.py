"""What a client is told of a Responses request that cannot be read."""

from __future__ import annotations

from weebill.wire.body import invalid_body
from weebill.wire.decode_errors import placed
from weebill.wire.errors import ApiError


def invalid_at(error: Exception, path: str) -> ApiError:
    """For a part of the body, at `path`, that does not decode."""
    return invalid_body(placed(error, path))


def invalid(param: str, reason: str) -> ApiError:
    """For a value that no target could be asked for."""
    return ApiError(400, f"Invalid value for '{param}': {reason}.", code="invalid_value", param=param)


def missing(param: str) -> ApiError:
    """For what no target could do without."""
    message = f"Missing required parameter: '{param}'."
    return ApiError(400, message, code="missing_required_parameter", param=param)


def unknown_response(response_id: str) -> ApiError:
    """For a previous response that is not kept."""
    return ApiError(
        400,
        f"Previous response with id '{response_id}' not found.",
        code="previous_response_not_found",
        param="previous_response_id",
    )
