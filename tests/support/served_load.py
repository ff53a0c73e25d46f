"""Load on a served application: requests at a rate or from clients that ask again and again, with
what came back and when."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx

QUESTION = [{"role": "user", "content": "what is the inheritance of Marfan syndrome"}]
_PATIENCE = 120.0  # seconds for a reply on a busy machine


@dataclass(frozen=True)
class Reply:
    """One HTTP reply, with the seconds until it was whole."""

    status: int
    headers: httpx.Headers
    text: str
    seconds: float


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which ``share`` of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Load:
    """Asks one application with one key."""

    def __init__(self, base_url: str, key: str, **body: Any) -> None:
        self.base_url = base_url
        self.root = base_url.removesuffix("/v1")
        self._body = {"messages": QUESTION, "temperature": 0, **body}
        self._key = {"Authorization": f"Bearer {key}"}

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client with room for every request."""
        limits = httpx.Limits(max_connections=2_000)
        async with httpx.AsyncClient(
            headers=self._key, timeout=_PATIENCE, limits=limits, trust_env=False
        ) as client:
            yield client

    async def ask(self, client: httpx.AsyncClient, **body: Any) -> Reply:
        """One request, read to its end."""
        started = time.perf_counter()
        response = await client.post(
            f"{self.base_url}/chat/completions", json={**self._body, **body}
        )
        seconds = time.perf_counter() - started
        return Reply(response.status_code, response.headers, response.text, seconds)

    async def ask_again_and_again(
        self, client: httpx.AsyncClient, clients: int, seconds: float, **body: Any
    ) -> list[Reply]:
        """The replies of ``clients`` that ask the next question when the last is answered."""
        end = time.perf_counter() + seconds
        replies = []

        async def keep_asking() -> None:
            while time.perf_counter() < end:
                replies.append(await self.ask(client, **body))

        await asyncio.gather(*(keep_asking() for _ in range(clients)))
        return replies

    async def ask_at_rate(
        self, client: httpx.AsyncClient, rate: float, seconds: float, **body: Any
    ) -> list[Reply]:
        """The replies to ``rate`` requests a second, whether others were answered or not."""
        started = time.perf_counter()
        tasks = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(self.ask(client, **body)))
        return list(await asyncio.gather(*tasks))

    @asynccontextmanager
    async def probe(self, path: str = "/livez") -> AsyncIterator[list[float]]:
        """Inside the block a probe is asked ten times a second: the seconds of its answers."""
        seconds: list[float] = []

        async def keep_probing() -> None:
            async with httpx.AsyncClient(timeout=_PATIENCE, trust_env=False) as client:
                while True:
                    started = time.perf_counter()
                    response = await client.get(self.root + path)
                    seconds.append(time.perf_counter() - started)
                    assert response.status_code == 200, response.text
                    await asyncio.sleep(0.1)

        task = asyncio.create_task(keep_probing())
        try:
            yield seconds
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
