"""Server-sent events of a completion that streams."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from fastapi.responses import StreamingResponse

from medr_ray.serving.http.errors import HttpRefusal, Unavailable, build_error_body
from medr_ray.serving.messages import ChatBackend, ChatJob, Refusal, StreamItem, close_stream

END_EVENT = "data: [DONE]\n\n"


async def open_stream(chat: ChatBackend, job: ChatJob) -> AsyncIterator[StreamItem]:
    """The items behind the Opening of a stream. Raises HttpRefusal when the first is a refusal.

    Nothing is sent before the first item, so that a refusal can still decide the status.
    """
    items = chat.stream(job)
    first = await anext(items)
    if isinstance(first, Refusal):
        raise HttpRefusal.from_refusal(first)
    return items


def format_event(body: Mapping[str, Any]) -> str:
    """One event with a JSON body."""
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def build_event_response(
    events: AsyncIterator[str], streams: Sequence[AsyncIterator[Any]]
) -> StreamingResponse:
    """The response that sends events, and ends the streams they come from when it is over.

    A failure after the start is an error event: the status is long sent.
    """
    return StreamingResponse(
        _guard_events(events, streams),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-cache"},
    )


async def _guard_events(
    events: AsyncIterator[str], streams: Sequence[AsyncIterator[Any]]
) -> AsyncIterator[str]:
    try:
        async for event in events:
            yield event
    except Unavailable as error:
        yield format_event(build_error_body(503, str(error), "unavailable"))
    # A client that leaves cancels the generator. CancelledError is no subclass of Exception, so it
    # passes through.
    except Exception as error:
        message = f"the stream failed: {type(error).__name__}"
        yield format_event(build_error_body(500, message, "internal_error"))
    finally:
        for stream in streams:
            await close_stream(stream)
    yield END_EVENT
