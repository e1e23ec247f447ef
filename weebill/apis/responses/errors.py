"""Errors of the Responses API alone."""

from __future__ import annotations

from weebill.wire.errors import ApiError


def unknown_response(response_id: str) -> ApiError:
    """The error for a previous response that is not kept."""
    return ApiError(
        400,
        f"Previous response with id '{response_id}' not found.",
        code="previous_response_not_found",
        param="previous_response_id",
    )
