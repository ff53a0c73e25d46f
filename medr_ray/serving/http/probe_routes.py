"""What tells whether the process is alive, whether the model answers, and what it has done; and how
the operator ends it."""

import hashlib
import hmac
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from medr_ray.serving.http.errors import RETRY_AFTER_SECONDS, HttpRefusal, build_error_body
from medr_ray.serving.http.middleware import DRAIN_PATH
from medr_ray.serving.http.service_state import ServiceState
from medr_ray.serving.messages import ChatBackend


def add_probes(app: FastAPI, chat: ChatBackend, state: ServiceState) -> None:
    """Register the routes. Only ``/v1/statistics``, which needs a key, asks the model."""

    @app.get("/livez")
    async def livez() -> dict[str, Any]:
        # A busy, loading or stuck model is no reason to end this process.
        return {"status": "ok"}

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, Any]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> Response:
        if state.is_ready:
            return JSONResponse({"status": "ready"})
        reason = "the service is ending" if state.is_draining else "the model is not ready yet"
        body = build_error_body(503, reason, "not_ready")
        return JSONResponse(body, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})

    @app.get("/v1/statistics")
    async def show_statistics() -> dict[str, Any]:
        return {
            "object": "statistics",
            "gateway": {"running": state.running, "places": state.max_running},
            "model": await chat.statistics(),
        }


def add_drain(app: FastAPI, state: ServiceState, digest: str) -> None:
    """Register the route by which the process that started the service ends it. Its token is
    nobody else's, and no key."""

    @app.post(DRAIN_PATH, include_in_schema=False)
    async def drain(request: Request) -> dict[str, int]:
        token = request.headers.get("X-Drain-Token", "")
        if not hmac.compare_digest(hashlib.sha256(token.encode()).hexdigest(), digest):
            raise HttpRefusal(401, "wrong token", "invalid_api_key")
        state.is_draining = True
        return {"running": state.running}
