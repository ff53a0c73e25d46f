"""Reads the bodies of requests with the one reader of JSON, which refuses what breaks later."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from medr_ray.core.json_text import InvalidJson, parse_json


class _JsonRequest(Request):
    """A request whose body is JSON beyond doubt, or 400."""

    async def json(self) -> Any:
        body = await self.body()
        try:
            return parse_json(body, "the body")
        except InvalidJson as error:
            # FastAPI lets no other error through while it reads a body.
            raise HTTPException(400, str(error)) from None


class JsonRoute(APIRoute):
    """A route that reads its body so."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, over a request of the class above."""
        handle = super().get_route_handler()

        async def handle_json(request: Request) -> Response:
            return await handle(_JsonRequest(request.scope, request.receive))

        return handle_json
