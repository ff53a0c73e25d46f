"""Builds errors in the form that OpenAI clients expect, with the right status:
``{"error": {message, type, param, code, request_id}}``."""

from contextvars import ContextVar

from medr_ray.core.errors import MedrError
from medr_ray.core.json_text import replace_surrogates
from medr_ray.serving.http.schemas.responses import ErrorBody
from medr_ray.serving.messages import Refusal

# About one batch of a small model: soon enough, and clients do not all come back at once.
RETRY_AFTER_SECONDS = 1
# The id of the request that is being answered, which its errors carry.
CURRENT_REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
# A replica that ended is there again after the time that its process and its model take to start.
RESTART_RETRY_SECONDS = 10

# OpenAI's names; every other status is an invalid request.
_ERROR_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
# Characters. A message may quote what the client sent, which may be megabytes.
_MAX_MESSAGE = 1_000
_MAX_PARAM = 200


def build_error_body(
    status: int, message: str, code: str | None = None, param: str | None = None
) -> ErrorBody:
    """The body of an error response."""
    return {
        "error": {
            "message": _shorten(message, _MAX_MESSAGE),
            "type": _ERROR_TYPES.get(status, "invalid_request_error"),
            "param": None if param is None else _shorten(param, _MAX_PARAM),
            "code": code,
            "request_id": CURRENT_REQUEST_ID.get(),
        }
    }


def _shorten(text: str, limit: int) -> str:
    # Clients can spell half characters, which no response can hold.
    text = replace_surrogates(text)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


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


class Unavailable(MedrError):
    """The model's replica ended while it answered, or none is there."""
