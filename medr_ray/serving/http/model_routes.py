"""``/v1/models``: the names of the served models."""

import time
from collections.abc import Sequence

from fastapi import FastAPI

from medr_ray.serving.http.errors import HttpRefusal
from medr_ray.serving.http.openapi import describe_errors
from medr_ray.serving.http.schemas.responses import (
    ModelBody,
    ModelList,
    build_model,
    build_model_list,
)


def add_models(app: FastAPI, models: Sequence[str]) -> None:
    """Register the routes."""
    started_at = int(time.time())

    @app.get("/v1/models")
    async def list_models() -> ModelList:
        return build_model_list(models, started_at)

    # ``:path``, because clients ask for names with a slash too, and an unknown one has an error.
    @app.get("/v1/models/{name:path}", responses=describe_errors(404))
    async def show_model(name: str) -> ModelBody:
        if name not in models:
            raise HttpRefusal(404, f"no model {name!r} is served", "model_not_found", "model")
        return build_model(name, started_at)
