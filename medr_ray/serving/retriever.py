"""A replica of the retriever: ranked hits for a query, documents by id, as plain dictionaries, and
vectors of texts by its encoder."""

import asyncio
import functools
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from medr_ray.core.config import ModelsConfig, RetrievalConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.run import Directory
from medr_ray.serving.embeddings import Embeddings, InputType, TextEmbedder
from medr_ray.serving.http.schemas import SearchRequest

if TYPE_CHECKING:
    from medr_ray.retrieval.retriever import RetrievalHit, Retriever

# Searches that a replica works on: their queries are encoded together, and while some wait for the
# index others are ranked. More only wait for each other.
SEARCHES_AT_ONCE = 16

_logger = logging.getLogger(__name__)


class SearchReplica:
    """Opens the index once, and loads what searches need before it counts as ready.

    Searches run in threads, so that the event loop, and with it the replica's health check, always
    answers.
    """

    def __init__(self, index: Directory, retrieval: RetrievalConfig, models: ModelsConfig) -> None:
        from medr_ray.retrieval.index import IndexSettings, read_index_settings
        from medr_ray.retrieval.retriever import Retriever
        from medr_ray.serving.replica_address import listen_where_ray_does

        listen_where_ray_does()
        self._retriever = Retriever.open(index, retrieval, models)
        settings = read_index_settings(index) or IndexSettings()
        self._embedder = TextEmbedder(settings.encoding, models)
        _prepare_retriever(self._retriever, retrieval)
        self._executor = ThreadPoolExecutor(SEARCHES_AT_ONCE, thread_name_prefix="retriever")

    async def search(self, request: SearchRequest) -> list[dict[str, Any]]:
        """Hits in rank order: the fields of the retriever's hit, with how its score came about."""
        loop = asyncio.get_running_loop()
        # ``dict`` of a pydantic model gives its fields as they are. They are named as the
        # parameters.
        search = functools.partial(self._search_rows, **dict(request))
        return await loop.run_in_executor(self._executor, search)

    async def document(self, document_id: str) -> dict[str, Any] | None:
        """A document with its text; None when the index has no such id."""
        loop = asyncio.get_running_loop()
        document = await loop.run_in_executor(self._executor, self._retriever.document, document_id)
        return None if document is None else asdict(document)

    async def embed(self, texts: Sequence[str], input_type: InputType) -> Embeddings:
        """Vectors of texts, in their order."""
        return await self._embedder.embed(texts, input_type)

    def _search_rows(self, query: str, **options: Any) -> list[dict[str, Any]]:
        return [_list_fields(hit) for hit in self._retriever.search(query, **options)]


def _prepare_retriever(retriever: "Retriever", retrieval: RetrievalConfig) -> None:
    """Load what the first search would wait for.

    Raises MedrError where that cannot be loaded, unless searches go by words if nothing else is
    asked for: a search by vectors then says what is missing.
    """
    try:
        retriever.prepare()
    except MedrError as error:
        if retrieval.mode != "text":
            raise
        _logger.warning("searches by vectors will fail: %s", error)


def _list_fields(hit: "RetrievalHit") -> dict[str, Any]:
    """The hit as ``dataclasses.asdict`` gives it, which copies every number of it."""
    factors = tuple(vars(factor) for factor in hit.explanation.factors)
    return {**vars(hit), "explanation": {"factors": factors}}
