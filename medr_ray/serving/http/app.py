"""The FastAPI application: its middlewares, its errors and its routes."""

from collections.abc import Sequence

from fastapi import FastAPI

from medr_ray.serving.http.chat_routes import add_chat
from medr_ray.serving.http.error_handlers import add_error_handlers
from medr_ray.serving.http.middleware import (
    MAX_BODY_BYTES,
    ApiKeyMiddleware,
    BodyLimitMiddleware,
    RequestIdMiddleware,
)
from medr_ray.serving.http.model_routes import add_models
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
    sends_request_id: bool = True,
) -> FastAPI:
    """The application. ``models`` are the names that ``/v1/models`` lists; without ``search`` the
    search paths answer 404. ``sends_request_id`` is off behind a proxy that adds the header."""
    app = FastAPI(title="medr_ray", docs_url="/docs", redoc_url=None)
    # The last one added is the first to see a request: the key comes before the body.
    app.add_middleware(BodyLimitMiddleware, max_bytes=MAX_BODY_BYTES)
    app.add_middleware(ApiKeyMiddleware, verifier=verifier)
    app.add_middleware(RequestIdMiddleware, sends_header=sends_request_id)
    add_error_handlers(app)
    add_probes(app, chat)
    add_models(app, models)
    add_chat(app, chat)
    add_search(app, search)
    return app
