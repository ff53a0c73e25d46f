"""The Serve ingress: the FastAPI application of ``http.py`` over handles to the model and the
retriever."""

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator

from medr_ray.serving.embeddings import Embeddings, InputType
from medr_ray.serving.http import build_http
from medr_ray.serving.http.errors import Overloaded
from medr_ray.serving.http.schemas import SearchRequest
from medr_ray.serving.keys import ApiKeyVerifier
from medr_ray.serving.messages import ChatJob, Completion, Refusal, StreamItem
from medr_ray.serving.replica_address import listen_where_ray_does


class _HandleChat:
    """ChatBackend over a handle. Raises Overloaded when the handle's queue is full."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def complete(self, job: ChatJob) -> Completion | Refusal:
        try:
            # A full queue shows here and not at ``remote``: the handle assigns the request
            # meanwhile.
            reply: Completion | Refusal = await self._handle.complete.remote(job)
        except BackPressureError as error:
            raise Overloaded(str(error)) from error
        return reply

    async def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        # A method that yields needs a streaming handle.
        handle = self._handle.options(stream=True)
        items: DeploymentResponseGenerator[StreamItem] = handle.stream.remote(job)  # type: ignore[assignment]
        was_refused = False
        try:
            async for item in items:
                yield item
        except BackPressureError as error:
            was_refused = True
            raise Overloaded(str(error)) from error
        finally:
            # Ends generation when the client is gone; after the last item it does nothing. Of a
            # request that was never started it raises the refusal again, over the one above.
            if not was_refused:
                items.cancel()

    async def statistics(self) -> dict[str, int]:
        counters: dict[str, int] = await self._handle.statistics.remote()
        return counters


class _HandleSearch:
    """SearchBackend and EmbeddingBackend over a handle."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def search(self, request: SearchRequest) -> list[dict[str, Any]]:
        hits: list[dict[str, Any]] = await self._handle.search.remote(request)
        return hits

    async def document(self, document_id: str) -> dict[str, Any] | None:
        document: dict[str, Any] | None = await self._handle.document.remote(document_id)
        return document

    async def embed(self, texts: Sequence[str], input_type: InputType) -> Embeddings:
        embeddings: Embeddings = await self._handle.embed.remote(texts, input_type)
        return embeddings


@serve.ingress()
class Gateway:
    """Answers HTTP. Holds the digest of the key, never the key."""

    def __init__(
        self,
        model: DeploymentHandle,
        search: DeploymentHandle | None,
        verifier: ApiKeyVerifier,
        names: Sequence[str],
    ) -> None:
        listen_where_ray_does()
        self._model = model
        self._search = search
        self._verifier = verifier
        self._names = names

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Ray Serve once the replica is constructed."""
        search = _HandleSearch(self._search) if self._search is not None else None
        _log_to_stderr()
        return build_http(
            _HandleChat(self._model),
            search,
            self._verifier,
            self._names,
            embeddings=search,
            # Serve's proxy gives every request an id, as a header of the request and the response.
            sends_request_id=False,
        )


def _log_to_stderr() -> None:
    """Write a line for each request to the replica's own log, which is in Ray's session folder."""
    logger = logging.getLogger("medr_ray.serving.requests")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
