"""A loopback chat endpoint with planned answers that serves many requests at once and counts what
reaches it.

``plan`` says, by a word that only the prompts of one subject hold, what its requests are answered
with in turn: a text, a ``Response``, or one of the failures below; the last line is repeated for
ever.
"""

import asyncio
import itertools
import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from support.loopback import server
from werkzeug import Request, Response

from medr_ray.core.config import EndpointConfig
from medr_ray.core.run import Directory
from medr_ray.governor import clock
from medr_ray.governor import gate as gate_module
from medr_ray.governor.actor import LocalGovernorClient
from medr_ray.governor.client import GovernorClient
from medr_ray.governor.limits import Amounts, GovernedService
from medr_ray.governor.protocol import Slot
from medr_ray.llm import client as client_module
from medr_ray.llm.client import ChatClient


@dataclass(frozen=True)
class Half:
    """A reply that the endpoint cut off."""

    text: str


class Hang:
    """No reply before the test is over."""


# Seconds to wait for an endpoint that hangs: long enough for one that answers, on a busy machine.
SHORT = 2.0
_SPEED = 10  # of a ``Clock``
_NUMBERS = itertools.count()
Line = str | Half | Hang | Response


def broken() -> Response:
    return Response("out of memory", status=500)


def slow_down(seconds: float) -> Response:
    return Response("slow down", status=429, headers={"Retry-After": str(seconds)})


class Endpoint:
    """The endpoint: what it was asked (``asked[word]``, the messages of each request in turn) and
    the most requests it was working on at once. Of the first ``hold`` requests none is answered
    before all are there, or one waited long."""

    def __init__(self, server: HTTPServer, plan: dict[str, Sequence[Line]], hold: int = 1) -> None:
        path = f"/{next(_NUMBERS)}/v1"  # what an earlier test left on its way finds nobody here
        self.url, self.asked, self.at_once = (
            server.url_for(path),
            defaultdict[str, list[Any]](list),
            0,
        )
        self._plan = {word: list(lines) for word, lines in plan.items()}
        self._lock, self.over = threading.Lock(), threading.Event()
        self._working, self._hold, self._gathered = 0, hold, threading.Barrier(hold)
        server.expect_request(f"{path}/chat/completions", method="POST").respond_with_handler(
            self._answer
        )

    @property
    def requests(self) -> int:
        return sum(map(len, self.asked.values()))

    def client(self, run: Directory | None = None, **settings: Any) -> ChatClient:
        """A client of it, without limits that a test would wait for."""
        usual = {"model": "m", "requests_per_minute": 1e6, "retries": 2, "timeout_seconds": 20}
        return ChatClient(EndpointConfig(base_url=self.url, **{**usual, **settings}), run)

    def _answer(self, request: Request) -> Response:
        messages = json.loads(request.data)["messages"]
        with self._lock:
            (word,) = (word for word in self._plan if word in messages[0]["content"])
            self.asked[word].append(messages)
            lines = self._plan[word]
            line = lines.pop(0) if len(lines) > 1 else lines[0]
            self._working += 1
            self.at_once = max(self.at_once, self._working)
            early = self.requests <= self._hold
        try:
            if early:
                self._gather()
            return self._respond(line)
        finally:
            with self._lock:
                self._working -= 1

    def _respond(self, line: Line) -> Response:
        if isinstance(line, Hang):
            self.over.wait(30)
            return Response("too late", status=503)
        if isinstance(line, Response):
            return line
        text, reason = (line.text, "length") if isinstance(line, Half) else (line, "stop")
        message = {"role": "assistant", "content": text}
        body = {"choices": [{"index": 0, "finish_reason": reason, "message": message}]}
        return Response(json.dumps(body), content_type="application/json")

    def _gather(self) -> None:
        try:
            # Less than the client's time-out, whose second try must not count as a second caller.
            self._gathered.wait(15)
        except threading.BrokenBarrierError:
            return  # the test will see that too few came together


@contextmanager
def endpoint(plan: dict[str, Sequence[Line]], hold: int = 1) -> Iterator[Endpoint]:
    """The endpoint while it is up; one that hangs lets go at the end."""
    running = Endpoint(server(), plan, hold)
    try:
        yield running
    finally:
        running.over.set()
        server().clear()


def fresh_governor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A governor of the test's own, also where other tests have Ray up, and no waiting between
    attempts."""
    own = LocalGovernorClient()
    monkeypatch.setattr(gate_module, "get_governor_client", lambda: own)
    monkeypatch.setattr(client_module, "_BACKOFF_SECONDS", 0.0)


class Clock:
    """The governor's time, ten times as fast as it really is. ``granted`` are the times of permits
    since the first one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.granted: list[float] = []
        times: list[float] = []
        begun = time.monotonic()
        acquire = GovernorClient.acquire
        wait_for_signal = clock.wait_for_signal

        def now() -> float:
            return _SPEED * (time.monotonic() - begun)

        async def record_and_acquire(
            client: GovernorClient, service: GovernedService, amounts: Amounts
        ) -> Slot:
            slot = await acquire(client, service, amounts)
            times.append(now())
            self.granted.append(times[-1] - times[0])
            return slot

        async def wait_faster(event: asyncio.Event, until: float) -> None:
            await wait_for_signal(event, now() + max(0.0, until - now()) / _SPEED)

        monkeypatch.setattr(GovernorClient, "acquire", record_and_acquire)
        monkeypatch.setattr(clock, "now", now)
        monkeypatch.setattr(clock, "wait_for_signal", wait_faster)
