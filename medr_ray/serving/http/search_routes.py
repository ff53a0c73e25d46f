"""``/v1/search`` and ``/v1/documents``: the retriever."""

from typing import Annotated, Any, Protocol

from fastapi import FastAPI, Query

from medr_ray.serving.http.errors import HttpRefusal
from medr_ray.serving.http.schemas import SearchRequest


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

    async def run_search(request: SearchRequest) -> dict[str, Any]:
        hits = await require_search().search(request)
        return {"object": "list", "query": request.query, "hits": hits}

    @app.post("/v1/search")
    async def search_post(request: SearchRequest) -> dict[str, Any]:
        return await run_search(request)

    @app.get("/v1/search")
    async def search_get(
        query: str,
        results: int | None = None,
        sources: Annotated[list[str] | None, Query()] = None,
        mode: str | None = None,
        since: int | None = None,
        until: int | None = None,
        types: Annotated[list[str] | None, Query()] = None,
    ) -> dict[str, Any]:
        values = {
            "query": query,
            "results": results,
            "sources": sources,
            "mode": mode,
            "since": since,
            "until": until,
            "types": types,
        }
        return await run_search(SearchRequest.model_validate(values))

    # ``:path``, because the name in an id may contain a slash.
    @app.get("/v1/documents/{document_id:path}")
    async def show_document(document_id: str) -> dict[str, Any]:
        document = await require_search().document(document_id)
        if document is None:
            raise HttpRefusal(
                404,
                f"no document {document_id!r} in the index",
                "document_not_found",
                "document_id",
            )
        return document
