"""``/v1/models``: the names of the served models."""

import time
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI

from medr_ray.serving.http.errors import HttpRefusal
from medr_ray.serving.http.schemas import build_model_list


def add_models(app: FastAPI, models: Sequence[str]) -> None:
    """Register the routes."""
    started_at = int(time.time())

    @app.get("/v1/models")
    async def list_models() -> dict[str, Any]:
        return build_model_list(models, started_at)

    @app.get("/v1/models/{name}")
    async def show_model(name: str) -> dict[str, Any]:
        if name not in models:
            raise HttpRefusal(404, f"no model {name!r} is served", "model_not_found", "model")
        return dict(build_model_list([name], started_at)["data"][0])
