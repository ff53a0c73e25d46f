"""One event loop for calls that block."""

import asyncio
import threading

import pytest

from medr_ray.core.errors import ToolError
from medr_ray.retrieval.live.background import run_and_wait, start_in_background


async def _loop() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_all_threads_share_a_loop() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    threads = [
        threading.Thread(target=lambda: loops.append(run_and_wait(_loop()))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loops) == 4
    assert len(set(loops)) == 1


def test_what_is_raised_arrives() -> None:
    async def refuse() -> None:
        raise ToolError("no")

    with pytest.raises(ToolError, match="no"):
        run_and_wait(refuse())


def test_work_goes_on_while_nobody_waits() -> None:
    done = threading.Event()

    async def work() -> str:
        done.set()
        return "result"

    answer = start_in_background(work())
    assert done.wait(10)
    assert answer.result(10) == "result"
