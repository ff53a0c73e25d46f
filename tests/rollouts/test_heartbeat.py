"""What a worker's heartbeat says of an event loop that is late."""

import asyncio
import threading
import time

from support.waiting_environment import WaitingEnvironment

from medr_ray.agent.episode_loop import NO_FAULTS
from medr_ray.core.settings import load_config
from medr_ray.rollouts.worker import Heartbeat, RolloutWorker


async def open_worker() -> RolloutWorker:
    config = load_config(None, ["rollouts.stall_seconds=1"], environment={})
    worker = RolloutWorker(config, WaitingEnvironment({}), NO_FAULTS)
    await worker.ready()
    await asyncio.sleep(0)  # the first tick
    # The last tick was a minute ago, as after a pause of the machine.
    worker._monitor._last_loop_tick -= 60
    return worker


def test_a_worker_that_was_paused_and_goes_on_is_not_blocked() -> None:
    async def play() -> Heartbeat:
        worker = await open_worker()
        return await asyncio.to_thread(worker.heartbeat)

    assert asyncio.run(play()) == Heartbeat(blocked=False)


def test_an_event_loop_that_never_comes_round_is_blocked() -> None:
    heartbeats: list[Heartbeat] = []

    async def play() -> None:
        worker = await open_worker()
        watch = threading.Thread(target=lambda: heartbeats.append(worker.heartbeat()))
        watch.start()
        while watch.is_alive():
            time.sleep(0.01)  # no await: the loop stands

    asyncio.run(play())
    [heartbeat] = heartbeats
    assert heartbeat.blocked
    assert "its event loop is blocked" in heartbeat.stall_report
