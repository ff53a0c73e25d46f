"""Builds errors in the form that OpenAI clients expect: ``{"error": {message, type, param, code}}``
with the right status."""

from typing import Any

from medr_ray.core.errors import MedrError
from medr_ray.serving.messages import Refusal

# About one batch of a small model: soon enough, and clients do not all come back at once.
RETRY_AFTER_SECONDS = 1

# OpenAI's names; every other status is an invalid request.
_ERROR_TYPES = {
    401: "authentication_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}


def build_error_body(
    status: int, message: str, code: str | None = None, param: str | None = None
) -> dict[str, Any]:
    """The body of an error response."""
    error_type = _ERROR_TYPES.get(status, "invalid_request_error")
    return {"error": {"message": message, "type": error_type, "param": param, "code": code}}


class HttpRefusal(MedrError):
    """A request that is answered with an error status."""

    def __init__(
        self,
        status: int,
        message: str,
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.body = build_error_body(status, message, code, param)

    @classmethod
    def from_refusal(cls, refusal: Refusal) -> "HttpRefusal":
        """The HTTP error for a replica's refusal."""
        return cls(refusal.status, refusal.message, refusal.code, refusal.param)


class Overloaded(MedrError):
    """The queue in front of the model is full."""
