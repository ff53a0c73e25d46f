"""The order of requests and changes on their way to an engine in another process."""

import asyncio

from medr_ray.engines.call_order import CallOrder


class Journey:
    """Requests and changes that note when they are sent, and go on when they are let."""

    def __init__(self) -> None:
        self.order = CallOrder()
        self.sent: list[str] = []
        self.arrivals: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def make(self, *names: str) -> None:
        """Make these calls, in this order; the name of a change begins with a C."""
        for name in names:
            self.arrivals[name] = asyncio.Event()
            call = self._change(name) if name.startswith("C") else self._request(name)
            self._tasks[name] = asyncio.create_task(call)
        await self.settle()

    async def arrive(self, *names: str) -> None:
        for name in names:
            self.arrivals[name].set()
        await self.settle()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await self.settle()

    @staticmethod
    async def settle() -> None:
        """Let every task go as far as it can."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def _request(self, name: str) -> None:
        async with self.order.send_request() as received:
            self.sent.append(name)
            await self.arrivals[name].wait()
            received.set()
            await asyncio.Event().wait()  # the answer takes longer than any change waits for

    async def _change(self, name: str) -> None:
        async with self.order.send_change():
            self.sent.append(name)
            await self.arrivals[name].wait()


def test_a_change_is_sent_behind_earlier_requests_and_ahead_of_later_ones() -> None:
    async def travel() -> None:
        journey = Journey()
        await journey.make("a", "b", "C", "d")
        assert journey.sent == ["a", "b"]
        await journey.arrive("a")
        assert journey.sent == ["a", "b"]
        await journey.arrive("b")
        assert journey.sent == ["a", "b", "C"]
        await journey.arrive("C")
        assert journey.sent == ["a", "b", "C", "d"]

    asyncio.run(travel())


def test_requests_wait_for_no_other_request() -> None:
    async def travel() -> None:
        journey = Journey()
        await journey.make("a", "b", "c")
        assert journey.sent == ["a", "b", "c"]

    asyncio.run(travel())


def test_a_request_that_waits_for_a_change_is_ahead_of_the_next_change() -> None:
    async def travel() -> None:
        journey = Journey()
        await journey.make("C1", "a", "C2", "b")
        assert journey.sent == ["C1"]
        await journey.arrive("C1")
        assert journey.sent == ["C1", "a"]
        await journey.arrive("a")
        assert journey.sent == ["C1", "a", "C2"]
        await journey.arrive("C2")
        assert journey.sent == ["C1", "a", "C2", "b"]

    asyncio.run(travel())


def test_what_is_given_up_holds_nothing_up() -> None:
    async def travel() -> None:
        journey = Journey()
        await journey.make("a", "C1", "b", "C2", "c")
        await journey.cancel("a")
        assert journey.sent == ["a", "C1"]
        await journey.cancel("b")
        await journey.cancel("C1")
        assert journey.sent == ["a", "C1", "C2"]
        await journey.cancel("C2")
        assert journey.sent == ["a", "C1", "C2", "c"]

    asyncio.run(travel())
