"""``/v1/search`` and ``/v1/documents``: the retriever."""

from typing import Annotated, Any, Protocol

from fastapi import FastAPI, Query

from medr_ray.serving.http.errors import HttpRefusal
from medr_ray.serving.http.openapi import describe_errors
from medr_ray.serving.http.schemas import SearchRequest
from medr_ray.serving.http.schemas.responses import SearchBody
from medr_ray.serving.http.schemas.search import SearchQuery


class SearchBackend(Protocol):
    """What answers searches."""

    async def search(self, request: SearchRequest) -> list[dict[str, Any]]:
        """Hits in rank order."""
        ...

    async def document(self, document_id: str) -> dict[str, Any] | None:
        """A document, or None."""
        ...


def add_search(app: FastAPI, search: SearchBackend | None) -> None:
    """Register the routes; without an index they answer 404."""

    def require_search() -> SearchBackend:
        if search is None:
            raise HttpRefusal(404, "this run has no index: run the index stage first", "no_index")
        return search

    async def run_search(request: SearchRequest) -> SearchBody:
        hits = await require_search().search(request)
        return {"object": "list", "query": request.query, "hits": hits}

    @app.post("/v1/search", responses=describe_errors(404))
    async def search_post(request: SearchRequest) -> SearchBody:
        return await run_search(request)

    @app.get("/v1/search", responses=describe_errors(400, 404, 422))
    async def search_get(request: Annotated[SearchQuery, Query()]) -> SearchBody:
        return await run_search(request)

    # ``:path``, because the name in an id may contain a slash.
    @app.get("/v1/documents/{document_id:path}", responses=describe_errors(404))
    async def show_document(document_id: str) -> dict[str, Any]:
        document = await require_search().document(document_id)
        if document is None:
            message = f"no document {document_id!r} in the index"
            raise HttpRefusal(404, message, "document_not_found", "document_id")
        return document
