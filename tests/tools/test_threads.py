"""Blocking work beside the event loop: work that hangs stops nothing else."""

import asyncio
import contextvars
import subprocess
import sys
import threading

import pytest

from medr_ray.tools.threads import DaemonThreads


def test_the_result_and_the_failure_of_the_work_come_back() -> None:
    def fail() -> None:
        raise KeyError("x")

    assert asyncio.run(DaemonThreads().run(threading.current_thread)) is not threading.main_thread()
    with pytest.raises(KeyError):
        asyncio.run(DaemonThreads().run(fail))


def test_work_that_hangs_frees_its_slot_for_the_next() -> None:
    ever = threading.Event()

    async def several() -> str:
        threads = DaemonThreads(limit=2)
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await threads.run(ever.wait)
        return await threads.run(lambda: "done")

    assert asyncio.run(several()) == "done"
    ever.set()


def test_no_more_work_than_allowed_runs_at_once() -> None:
    running, peak, turn = 0, 0, threading.Lock()
    meet = threading.Barrier(2, timeout=60)

    def work() -> None:
        nonlocal running, peak
        with turn:
            running += 1
            peak = max(peak, running)
        meet.wait()
        with turn:
            running -= 1

    async def several() -> None:
        threads = DaemonThreads(limit=2)
        await asyncio.gather(*(threads.run(work) for _ in range(8)))

    asyncio.run(several())
    assert peak == 2


def test_the_work_sees_the_callers_context() -> None:
    variable = contextvars.ContextVar("variable", default="none")

    async def caller() -> str:
        variable.set("mine")
        return await DaemonThreads().run(variable.get)

    assert asyncio.run(caller()) == "mine"


def test_the_process_ends_while_work_hangs() -> None:
    script = (
        "import asyncio, threading\nfrom medr_ray.tools.threads import DaemonThreads\n"
        "async def main():\n    async with asyncio.timeout(0.05):\n"
        "        await DaemonThreads().run(threading.Event().wait)\n"
        "try:\n    asyncio.run(main())\nexcept TimeoutError:\n    print('left')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "left\n"


def test_the_process_ends_well_while_torch_computes_what_nobody_waits_for() -> None:
    """Else torch aborts it (return code -6): ``terminate called without an active exception``."""
    script = (
        "import asyncio, time\nimport torch\nfrom medr_ray.tools.threads import DaemonThreads\n"
        "matrix = torch.ones(8, 8)\n"
        "def work():\n    end = time.monotonic() + 1\n"
        "    while time.monotonic() < end:\n        matrix @ matrix\n"
        "async def main():\n    async with asyncio.timeout(0.05):\n"
        "        await DaemonThreads().run(work)\n"
        "try:\n    asyncio.run(main())\nexcept TimeoutError:\n    print('left')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "left\n", "")


def test_the_end_of_an_iterator_comes_back_as_a_failure() -> None:
    """A future refuses StopIteration, and its waiter would wait for ever."""

    async def waited() -> None:
        async with asyncio.timeout(5):
            await DaemonThreads().run(lambda: next(iter(())))

    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(waited())
