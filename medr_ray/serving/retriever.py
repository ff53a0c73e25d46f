"""A replica of the retriever: ranked hits for a query, documents by id, as plain dictionaries, and
vectors of texts by its encoder."""

import asyncio
import functools
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

from medr_ray.core.config import ModelsConfig, RetrievalConfig
from medr_ray.core.run import Directory
from medr_ray.serving.embeddings import Embeddings, InputType, TextEmbedder
from medr_ray.serving.http.schemas import SearchRequest


class SearchReplica:
    """Opens the index once. Searches run one at a time in a thread, so that the event loop, and
    with it the replica's health check, always answers."""

    def __init__(self, index: Directory, retrieval: RetrievalConfig, models: ModelsConfig) -> None:
        from medr_ray.retrieval.index import IndexSettings, read_index_settings
        from medr_ray.retrieval.retriever import Retriever
        from medr_ray.serving.replica_address import listen_where_ray_does

        listen_where_ray_does()
        self._retriever = Retriever.open(index, retrieval, models)
        settings = read_index_settings(index) or IndexSettings()
        self._embedder = TextEmbedder(settings.encoding, models)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="retriever")

    async def search(self, request: SearchRequest) -> list[dict[str, Any]]:
        """Hits in rank order: the fields of the retriever's hit, with how its score came about."""
        loop = asyncio.get_running_loop()
        # ``dict`` of a pydantic model gives its fields as they are. They are named as the
        # parameters.
        search = functools.partial(self._retriever.search, **dict(request))
        hits = await loop.run_in_executor(self._executor, search)
        return [asdict(hit) for hit in hits]

    async def document(self, document_id: str) -> dict[str, Any] | None:
        """A document with its text; None when the index has no such id."""
        loop = asyncio.get_running_loop()
        document = await loop.run_in_executor(self._executor, self._retriever.document, document_id)
        return None if document is None else asdict(document)

    async def embed(self, texts: Sequence[str], input_type: InputType) -> Embeddings:
        """Vectors of texts, in their order."""
        return await self._embedder.embed(texts, input_type)
