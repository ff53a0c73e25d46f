"""``/v1/chat/completions``, whole and streamed."""

import json
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response, StreamingResponse

from medr_ray.serving.http.errors import HttpRefusal, build_error_body
from medr_ray.serving.http.schemas import (
    ChatRequest,
    build_chunk,
    build_completion,
    build_usage_chunk,
)
from medr_ray.serving.messages import ChatBackend, Completion, Delta, Refusal, StreamItem


def add_chat(app: FastAPI, chat: ChatBackend) -> None:
    """Register the route."""

    @app.post("/v1/chat/completions")
    async def chat_completions(request: ChatRequest) -> Response:
        completion_id = f"chatcmpl-{uuid.uuid4().hex}"
        created = int(time.time())
        if request.stream:
            return await _open_stream(chat, request, completion_id, created)
        reply = await chat.complete(request.to_job())
        if isinstance(reply, Refusal):
            raise HttpRefusal.from_refusal(reply)
        return JSONResponse(build_completion(completion_id, created, request.model, reply))


async def _open_stream(
    chat: ChatBackend, request: ChatRequest, completion_id: str, created: int
) -> Response:
    """The streamed response. Raises HttpRefusal when the first item is a refusal."""
    items = chat.stream(request.to_job())
    # Nothing is sent before the first item, so a refusal can still decide the status.
    first = await anext(items)
    if isinstance(first, Refusal):
        raise HttpRefusal.from_refusal(first)
    events = _generate_events(items, request, completion_id, created)
    return StreamingResponse(
        events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"}
    )


async def _generate_events(
    items: AsyncIterator[StreamItem],
    request: ChatRequest,
    completion_id: str,
    created: int,
) -> AsyncIterator[str]:
    """Server-sent events. A failure after the start is an error event: the status is long sent."""
    model = request.model
    includes_usage = request.stream_options is not None and request.stream_options.include_usage
    opening = {"role": "assistant", "content": ""}
    yield _format_event(build_chunk(completion_id, created, model, opening))
    try:
        async for item in items:
            if isinstance(item, Delta):
                delta = {"content": item.text}
                yield _format_event(build_chunk(completion_id, created, model, delta))
            elif isinstance(item, Completion):
                (answer,) = item.choices
                chunk = build_chunk(completion_id, created, model, {}, answer.finish_reason)
                yield _format_event(chunk)
                if includes_usage:
                    yield _format_event(build_usage_chunk(completion_id, created, model, item))
    # A client that leaves cancels the generator. CancelledError is no subclass of Exception, so it
    # passes through.
    except Exception as error:
        message = f"the stream failed: {type(error).__name__}"
        yield _format_event(build_error_body(500, message, "internal_error"))
    yield "data: [DONE]\n\n"


def _format_event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
