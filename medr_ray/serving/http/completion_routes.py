"""``/v1/completions``: texts continued without a chat template, whole and streamed."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

from fastapi import FastAPI
from fastapi.responses import JSONResponse, Response

from medr_ray.serving.http.errors import HttpRefusal
from medr_ray.serving.http.event_stream import build_event_response, format_event, open_stream
from medr_ray.serving.http.openapi import describe_errors
from medr_ray.serving.http.schemas.chat_responses import build_usage
from medr_ray.serving.http.schemas.completion import PROMPTS_AT_ONCE, CompletionRequest
from medr_ray.serving.http.schemas.completion_responses import (
    TextChoiceBody,
    TextCompletionBody,
    build_text_choice,
    build_text_completion,
)
from medr_ray.serving.messages import (
    ChatBackend,
    ChatJob,
    Completion,
    Delta,
    Refusal,
    StreamItem,
)

_ANSWERS = {
    "model": TextCompletionBody,
    "content": {"text/event-stream": {}},
}


def add_completions(app: FastAPI, chat: ChatBackend) -> None:
    """Register the route."""

    @app.post("/v1/completions", responses={200: _ANSWERS, **describe_errors(404)})
    async def completions(request: CompletionRequest) -> Response:
        completion_id = f"cmpl-{uuid.uuid4().hex}"
        created = int(time.time())
        jobs = request.to_jobs()
        if request.stream:
            streams = await _open_streams(chat, jobs)
            events = _generate_events(streams, request, completion_id, created)
            return build_event_response(events, streams)
        replies = await _complete_jobs(chat, jobs)
        choices = _collect_choices(replies, request.n)
        body = build_text_completion(completion_id, created, request.model, choices)
        return JSONResponse({**body, "usage": _add_usage(replies)})


async def _complete_jobs(chat: ChatBackend, jobs: Sequence[ChatJob]) -> list[Completion]:
    """The completions in the order of the jobs. Raises HttpRefusal for the first that is refused,
    and ends the others."""
    places = asyncio.Semaphore(PROMPTS_AT_ONCE)

    async def complete(job: ChatJob) -> Completion:
        async with places:
            reply = await chat.complete(job)
        if isinstance(reply, Refusal):
            raise HttpRefusal.from_refusal(reply)
        return reply

    tasks = [asyncio.ensure_future(complete(job)) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _open_streams(
    chat: ChatBackend, jobs: Sequence[ChatJob]
) -> list[AsyncIterator[StreamItem]]:
    """The accepted streams of all jobs. Raises the first refusal, and ends the other streams."""
    outcomes = await asyncio.gather(
        *(open_stream(chat, job) for job in jobs), return_exceptions=True
    )
    failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    streams = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
    if failures:
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]
        raise failures[0]
    return streams


def _collect_choices(replies: Sequence[Completion], n: int) -> list[TextChoiceBody]:
    return [
        build_text_choice(
            position * n + choice.index, choice.text, choice.logprobs, choice.finish_reason
        )
        for position, reply in enumerate(replies)
        for choice in reply.choices
    ]


def _add_usage(replies: Sequence[Completion]) -> Any:
    return build_usage(
        sum(reply.prompt_tokens for reply in replies),
        sum(reply.output_tokens for reply in replies),
    )


async def _generate_events(
    streams: Sequence[AsyncIterator[StreamItem]],
    request: CompletionRequest,
    completion_id: str,
    created: int,
) -> AsyncIterator[str]:
    """The chunks of one prompt after the other; the model generates all of them meanwhile."""
    includes_usage = request.stream_options.include_usage

    def format_chunk(choices: list[TextChoiceBody], usage: Any = None) -> str:
        body = build_text_completion(completion_id, created, request.model, choices)
        return format_event({**body, "usage": usage} if includes_usage else body)

    offsets: dict[int, int] = {}  # characters of a choice that were sent
    replies = []
    for position, items in enumerate(streams):
        async for item in items:
            if isinstance(item, Delta):
                index = position * request.n + item.index
                offset = offsets.get(index, 0)
                tokens = None if request.logprobs is None else item.logprobs
                yield format_chunk([build_text_choice(index, item.text, tokens, None, offset)])
                offsets[index] = offset + len(item.text)
            elif isinstance(item, Completion):
                replies.append(item)
                for choice in item.choices:
                    index = position * request.n + choice.index
                    yield format_chunk([build_text_choice(index, "", None, choice.finish_reason)])
    if includes_usage:
        yield format_chunk([], _add_usage(replies))
