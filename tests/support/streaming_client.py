"""A frugal client of ``/v1/chat/completions``: on two cores a client that reads every event as JSON
would be measured in place of the server."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

_START = b"data: {"


@dataclass(frozen=True)
class Reply:
    """A whole reply: its text, the tokens it was counted as, the events it came in (one for a whole
    answer), and the seconds to its first token."""

    text: str
    tokens: int
    events: int
    first_seconds: float


def build_body(model: str, content: str, seed: int, tokens: int, stream: bool) -> dict[str, Any]:
    """A request whose answer depends on the seed alone."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": content}],
        "temperature": 1,
        "seed": seed,
        "max_tokens": tokens,
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
    return body


async def ask_whole(client: httpx.AsyncClient, body: dict[str, Any]) -> Reply:
    """One answer that does not stream."""
    started = time.perf_counter()
    response = await client.post("/chat/completions", json=body)
    response.raise_for_status()
    completion = response.json()
    text = completion["choices"][0]["message"]["content"]
    tokens = completion["usage"]["completion_tokens"]
    return Reply(text, tokens, 1, time.perf_counter() - started)


async def ask_stream(client: httpx.AsyncClient, body: dict[str, Any]) -> Reply:
    """One answer that streams; its events are read when all of them are there."""
    started = time.perf_counter()
    first_seconds = 0.0
    pieces = []
    events = 0
    async with client.stream("POST", "/chat/completions", json=body) as response:
        response.raise_for_status()
        async for piece in response.aiter_raw():
            pieces.append(piece)
            events += piece.count(_START)
            # The first event opens the answer and has no token.
            if not first_seconds and events > 1:
                first_seconds = time.perf_counter() - started
    text, tokens = _read_events(b"".join(pieces))
    return Reply(text, tokens, events, first_seconds)


async def ask_all(
    client: httpx.AsyncClient, bodies: Sequence[dict[str, Any]]
) -> tuple[list[Reply], float]:
    """All of them at the same time, and the seconds until the last is answered."""
    started = time.perf_counter()
    asks = [ask_stream if body["stream"] else ask_whole for body in bodies]
    replies = await asyncio.gather(
        *(ask(client, body) for ask, body in zip(asks, bodies, strict=True))
    )
    return list(replies), time.perf_counter() - started


def _read_events(stream: bytes) -> tuple[str, int]:
    """The text of the events and the tokens of the last."""
    text = ""
    tokens = 0
    for line in stream.decode().split("\n"):
        if not line.startswith("data: {"):
            continue
        event = json.loads(line.removeprefix("data: "))
        for choice in event["choices"]:
            text += choice["delta"].get("content") or ""
        if event.get("usage"):
            tokens = event["usage"]["completion_tokens"]
    return text, tokens
