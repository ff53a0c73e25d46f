"""The Serve ingress: the FastAPI application of ``http.py`` over handles to the model and the
retriever."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle, DeploymentResponseGenerator

from medr_ray.agent.events import EpisodeEvent
from medr_ray.serving.embeddings import Embeddings, InputType
from medr_ray.serving.http import build_http
from medr_ray.serving.http.errors import Overloaded, Unavailable
from medr_ray.serving.http.schemas import SearchRequest
from medr_ray.serving.http.service_state import ServiceState
from medr_ray.serving.keys import KeySource, LiveKeys
from medr_ray.serving.messages import ChatJob, Completion, Refusal, StreamItem
from medr_ray.serving.replica_address import listen_where_ray_does
from medr_ray.serving.replicas import count_running_replicas
from medr_ray.serving.research_messages import ResearchJob


class _HandleChat:
    """ChatBackend over a handle. Raises Overloaded when the handle's queue is full."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def complete(self, job: ChatJob) -> Completion | Refusal:
        # A full queue shows here and not at ``remote``: the handle assigns the request meanwhile.
        with _name_failures():
            reply: Completion | Refusal = await self._handle.complete.remote(job)
        return reply

    async def stream(self, job: ChatJob) -> AsyncIterator[StreamItem]:
        # A method that yields needs a streaming handle.
        items = _relay_items(self._handle.options(stream=True).stream.remote(job))
        async with contextlib.aclosing(items):
            async for item in items:
                yield item

    async def statistics(self) -> dict[str, int]:
        with _name_failures():
            counters: dict[str, int] = await self._handle.statistics.remote()
        return counters


async def _relay_items(response: Any) -> AsyncGenerator[Any, None]:
    """The items of a streaming call. Raises Overloaded when the handle's queue is full."""
    items: DeploymentResponseGenerator[Any] = response
    was_refused = False
    try:
        with _name_failures():
            async for item in items:
                yield item
    except Overloaded:
        was_refused = True
        raise
    finally:
        # Ends the work when the client is gone; after the last item it does nothing. Of a request
        # that was never started it raises the refusal again, over the one above.
        if not was_refused:
            items.cancel()


class _HandleResearch:
    """ResearchBackend over a handle."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def research(self, job: ResearchJob) -> AsyncIterator[Refusal | EpisodeEvent]:
        items = _relay_items(self._handle.options(stream=True).research.remote(job))
        async with contextlib.aclosing(items):
            async for item in items:
                yield item

    async def diagnose(self, arguments: Mapping[str, Any]) -> dict[str, Any] | Refusal:
        with _name_failures():
            answer: dict[str, Any] | Refusal = await self._handle.diagnose.remote(arguments)
        return answer


@contextlib.contextmanager
def _name_failures() -> Iterator[None]:
    """Turn the ways in which a handle fails into errors with a status of their own."""
    try:
        yield
    except BackPressureError as error:
        raise Overloaded(str(error)) from error
    except (RayActorError, DeploymentUnavailableError) as error:
        # The replica's messages hold paths and addresses.
        raise Unavailable("the model's process ended; another one is started") from error


class _HandleSearch:
    """SearchBackend and EmbeddingBackend over a handle."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle = handle

    async def search(self, request: SearchRequest) -> list[dict[str, Any]]:
        with _name_failures():
            hits: list[dict[str, Any]] = await self._handle.search.remote(request)
        return hits

    async def document(self, document_id: str) -> dict[str, Any] | None:
        with _name_failures():
            document: dict[str, Any] | None = await self._handle.document.remote(document_id)
        return document

    async def embed(self, texts: Sequence[str], input_type: InputType) -> Embeddings:
        with _name_failures():
            embeddings: Embeddings = await self._handle.embed.remote(texts, input_type)
        return embeddings


@dataclass(frozen=True)
class GatewayLimits:
    """How many requests to the model the gateway lets in: for each replica and beside that. How
    long any request may take (seconds), and the SHA-256 of the token that ends the service."""

    places_per_replica: int
    max_queued: int
    request_seconds: float
    drain_digest: str | None


@serve.ingress()
class Gateway:
    """Answers HTTP. Holds digests of keys, never a key."""

    def __init__(
        self,
        model: DeploymentHandle,
        search: DeploymentHandle | None,
        key_source: KeySource,
        names: Sequence[str],
        limits: GatewayLimits,
        research: DeploymentHandle | None = None,
        agent_name: str = "",
    ) -> None:
        listen_where_ray_does()
        self._model = model
        self._search = search
        self._keys = LiveKeys(key_source)
        self._names = names
        self._limits = limits
        self._research = research
        self._agent_name = agent_name
        self._state = ServiceState(limits.places_per_replica, limits.max_queued)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Called by Ray Serve once the replica is constructed."""
        search = _HandleSearch(self._search) if self._search is not None else None
        research = _HandleResearch(self._research) if self._research is not None else None
        _log_to_stderr()
        return build_http(
            _HandleChat(self._model),
            search,
            self._keys,
            self._names,
            embeddings=search,
            # Serve's proxy gives every request an id, as a header of the request and the response.
            sends_request_id=False,
            state=self._state,
            request_seconds=self._limits.request_seconds,
            count_replicas=_count_replicas,
            drain_digest=self._limits.drain_digest,
            research=research,
            agent_name=self._agent_name,
        )


async def _count_replicas() -> int:
    """The model's replicas as Serve's controller sees them: a model that is busy could not say in
    time that it is there."""
    return await asyncio.to_thread(count_running_replicas)


def _log_to_stderr() -> None:
    """Write a line for each request, and what is worth knowing of keys and model, to the replica's
    own log, which is in Ray's session folder."""
    logger = logging.getLogger("medr_ray.serving")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
