"""The HTTP interface: a FastAPI application over a chat backend and a search backend.

Every error has the form that OpenAI clients read. Without the key only ``/healthz`` (the process
is alive) and ``/readyz`` (the model answers) say anything. Where no key is asked for, only requests
to this machine are answered, so that a page in a browser cannot reach it under a name of its own
(DNS rebinding). A body is refused by its size before it is parsed. A stream that was refused is an
ordinary error response, because the status is decided by the stream's first item. Every response
carries an ``X-Request-Id``, the client's own where it is well-formed, which also stands in the log.
"""

from medr_ray.serving.http.app import build_http
from medr_ray.serving.http.middleware import MAX_BODY_BYTES
from medr_ray.serving.http.search_routes import SearchBackend

__all__ = ["MAX_BODY_BYTES", "SearchBackend", "build_http"]
