"""The FastAPI application: its middlewares, its errors and its routes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from fastapi import FastAPI

from medr_ray.serving.account import CountedChat
from medr_ray.serving.agent_chat import AgentChat
from medr_ray.serving.embeddings import ENCODER_NAME, EmbeddingBackend
from medr_ray.serving.http.chat_routes import add_chat
from medr_ray.serving.http.completion_routes import add_completions
from medr_ray.serving.http.embedding_routes import add_embeddings
from medr_ray.serving.http.error_handlers import add_error_handlers
from medr_ray.serving.http.json_route import JsonRoute
from medr_ray.serving.http.middleware import (
    MAX_BODY_BYTES,
    AdmissionMiddleware,
    ApiKeyMiddleware,
    BodyLimitMiddleware,
    DeadlineMiddleware,
    Keys,
    RequestIdMiddleware,
)
from medr_ray.serving.http.model_routes import add_models
from medr_ray.serving.http.openapi import complete_openapi
from medr_ray.serving.http.page import add_ask_page
from medr_ray.serving.http.probe_routes import add_drain, add_probes
from medr_ray.serving.http.research_routes import add_research
from medr_ray.serving.http.search_routes import SearchBackend, add_search
from medr_ray.serving.http.service_state import ServiceState, watch
from medr_ray.serving.messages import ChatBackend
from medr_ray.serving.research_messages import ResearchBackend

# Without a configuration, as tests build the application.
_DEFAULT_REQUEST_SECONDS = 600.0
# Within which a model that is asked whether it is ready must answer.
_READY_SECONDS = 2.0


def build_http(
    chat: ChatBackend,
    search: SearchBackend | None,
    verifier: Keys,
    models: Sequence[str],
    *,
    embeddings: EmbeddingBackend | None = None,
    sends_request_id: bool = True,
    state: ServiceState | None = None,
    request_seconds: float = _DEFAULT_REQUEST_SECONDS,
    count_replicas: Callable[[], Awaitable[int]] | None = None,
    drain_digest: str | None = None,
    research: ResearchBackend | None = None,
    agent_name: str = "",
) -> FastAPI:
    """The application. ``models`` are the names of the chat models that ``/v1/models`` lists.
    Without ``search`` the search paths answer 404, as ``/v1/embeddings`` does without
    ``embeddings``. ``sends_request_id`` is off behind a proxy that adds the header.

    ``state`` is what others may read or set, such as that the service is about to end.
    ``count_replicas`` says again and again while the application runs how many replicas of the
    model are ready; without it the model itself is asked. No request takes longer than
    ``request_seconds``. ``drain_digest`` is the SHA-256 of the token with which the operator ends
    the service. ``research`` answers ``/v1/research`` and chats with ``agent_name``; without it
    both answer 404.
    """
    state = state or ServiceState()
    agents = [agent_name] if research is not None and agent_name else []
    if research is not None and agents:
        counted_chat = CountedChat(AgentChat(chat, research, agent_name, models[0]))
    else:
        counted_chat = CountedChat(chat)

    async def ask_model() -> int:
        await asyncio.wait_for(chat.statistics(), _READY_SECONDS)
        return 1

    @contextlib.asynccontextmanager
    async def keep_state(_: FastAPI) -> AsyncIterator[None]:
        async with watch(state, count_replicas or ask_model, verifier.refresh):
            yield

    app = FastAPI(
        title="medr_ray",
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
        lifespan=keep_state,
    )
    app.router.route_class = JsonRoute
    # The last one added is the first to see a request: the key comes before the body.
    app.add_middleware(BodyLimitMiddleware, max_bytes=MAX_BODY_BYTES)
    app.add_middleware(AdmissionMiddleware, state=state)
    app.add_middleware(DeadlineMiddleware, seconds=request_seconds)
    app.add_middleware(ApiKeyMiddleware, keys=verifier)
    app.add_middleware(RequestIdMiddleware, sends_header=sends_request_id)
    add_error_handlers(app)
    add_probes(app, chat, state)
    if drain_digest is not None:
        add_drain(app, state, drain_digest)
    encoders = [ENCODER_NAME] if embeddings is not None else []
    add_models(app, [*models, *agents, *encoders])
    add_chat(app, counted_chat)
    add_completions(app, counted_chat)
    add_embeddings(app, embeddings)
    add_search(app, search)
    add_research(app, research, agent_name, list(models))
    if research is not None:
        add_ask_page(app)
    complete_openapi(app)
    return app
