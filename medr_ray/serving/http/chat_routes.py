"""``/v1/chat/completions``, whole and streamed."""

import time
import uuid
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from medr_ray.serving.http.errors import HttpRefusal
from medr_ray.serving.http.event_stream import build_event_response, format_event, open_stream
from medr_ray.serving.http.openapi import describe_errors
from medr_ray.serving.http.schemas.chat import ChatRequest
from medr_ray.serving.http.schemas.chat_responses import (
    ChatCompletionBody,
    ChunkBuilder,
    build_completion,
)
from medr_ray.serving.messages import ChatBackend, Completion, Delta, Refusal, StreamItem

_ANSWERS = {
    "model": ChatCompletionBody,
    "content": {"text/event-stream": {}},
}


def add_chat(app: FastAPI, chat: ChatBackend) -> None:
    """Register the route."""

    @app.post(
        "/v1/chat/completions",
        responses={200: _ANSWERS, **describe_errors(404)},
    )
    async def chat_completions(request: ChatRequest) -> Response:
        completion_id = f"chatcmpl-{uuid.uuid4().hex}"
        created = int(time.time())
        if request.stream:
            builder = ChunkBuilder(
                completion_id, created, request.model, request.stream_options.include_usage
            )
            items = await open_stream(chat, request.to_job())
            events = _generate_events(items, builder, request.n)
            return build_event_response(events, [items])
        reply = await chat.complete(request.to_job())
        if isinstance(reply, Refusal):
            raise HttpRefusal.from_refusal(reply)
        return JSONResponse(build_completion(completion_id, created, request.model, reply))


async def _generate_events(
    items: AsyncIterator[StreamItem], builder: ChunkBuilder, choices: int
) -> AsyncIterator[str]:
    """The chunks: an opening for each choice, then deltas, an end for each choice, and the usage
    where it was asked for."""
    for index in range(choices):
        yield format_event(builder.build_opening(index))
    async for item in items:
        if isinstance(item, Delta):
            yield format_event(builder.build_delta(item))
        elif isinstance(item, Completion):
            for choice in item.choices:
                yield format_event(builder.build_end(choice))
            if builder.includes_usage:
                yield format_event(builder.build_usage(item))
