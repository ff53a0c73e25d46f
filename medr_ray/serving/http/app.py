"""The FastAPI application: its middlewares, its errors and its routes."""

from collections.abc import Sequence

from fastapi import FastAPI

from medr_ray.serving.embeddings import ENCODER_NAME, EmbeddingBackend
from medr_ray.serving.http.chat_routes import add_chat
from medr_ray.serving.http.completion_routes import add_completions
from medr_ray.serving.http.embedding_routes import add_embeddings
from medr_ray.serving.http.error_handlers import add_error_handlers
from medr_ray.serving.http.json_route import JsonRoute
from medr_ray.serving.http.middleware import (
    MAX_BODY_BYTES,
    ApiKeyMiddleware,
    BodyLimitMiddleware,
    RequestIdMiddleware,
)
from medr_ray.serving.http.model_routes import add_models
from medr_ray.serving.http.openapi import complete_openapi
from medr_ray.serving.http.probe_routes import add_probes
from medr_ray.serving.http.search_routes import SearchBackend, add_search
from medr_ray.serving.keys import ApiKeyVerifier
from medr_ray.serving.messages import ChatBackend


def build_http(
    chat: ChatBackend,
    search: SearchBackend | None,
    verifier: ApiKeyVerifier,
    models: Sequence[str],
    *,
    embeddings: EmbeddingBackend | None = None,
    sends_request_id: bool = True,
) -> FastAPI:
    """The application. ``models`` are the names of the chat models that ``/v1/models`` lists.
    Without ``search`` the search paths answer 404, as ``/v1/embeddings`` does without
    ``embeddings``. ``sends_request_id`` is off behind a proxy that adds the header."""
    app = FastAPI(title="medr_ray", docs_url="/docs", redoc_url=None, redirect_slashes=False)
    app.router.route_class = JsonRoute
    # The last one added is the first to see a request: the key comes before the body.
    app.add_middleware(BodyLimitMiddleware, max_bytes=MAX_BODY_BYTES)
    app.add_middleware(ApiKeyMiddleware, verifier=verifier)
    app.add_middleware(RequestIdMiddleware, sends_header=sends_request_id)
    add_error_handlers(app)
    add_probes(app, chat)
    encoders = [ENCODER_NAME] if embeddings is not None else []
    add_models(app, [*models, *encoders])
    add_chat(app, chat)
    add_completions(app, chat)
    add_embeddings(app, embeddings)
    add_search(app, search)
    complete_openapi(app)
    return app
