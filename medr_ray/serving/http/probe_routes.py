"""What tells whether the process is alive, whether the model answers, and what it has done."""

import asyncio
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from medr_ray.serving.http.errors import RETRY_AFTER_SECONDS, build_error_body
from medr_ray.serving.messages import ChatBackend

_READY_SECONDS = 2.0  # within which the model must answer to count as ready


def add_probes(app: FastAPI, chat: ChatBackend) -> None:
    """Register the routes."""

    @app.get("/healthz")
    async def healthz() -> dict[str, Any]:
        # Without asking the model: a busy one is no reason to end the process.
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> Response:
        try:
            await asyncio.wait_for(chat.statistics(), _READY_SECONDS)
        except Exception:
            body = build_error_body(503, "the model does not answer yet", "not_ready")
            return JSONResponse(body, 503, {"Retry-After": str(RETRY_AFTER_SECONDS)})
        return JSONResponse({"status": "ready"})

    @app.get("/v1/statistics")
    async def show_statistics() -> dict[str, Any]:
        return {"object": "statistics", "model": await chat.statistics()}
