"""Requests and responses of the HTTP interface: OpenAI's formats, and our own for search.

Every accepted parameter has an effect, but for those that only label a request or set what this
server does not have (``HarmlessFields``). One that would change the answer and has no effect is
refused by its name. Null means the default.
"""

from medr_ray.serving.http.schemas.chat import ChatRequest
from medr_ray.serving.http.schemas.completion import CompletionRequest
from medr_ray.serving.http.schemas.embedding import EmbeddingRequest
from medr_ray.serving.http.schemas.search import SearchRequest

__all__ = ["ChatRequest", "CompletionRequest", "EmbeddingRequest", "SearchRequest"]
