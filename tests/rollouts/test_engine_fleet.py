"""Several engines as actors: who answers whom, what happens to those that die, and how new weights
reach them all. The engines have no model; their processes and their deaths are real."""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from support.adapters import SCALING, add_adapter, make_adapter, read_weights
from support.fake_engine import FakeEngineFactory, compute_digest, make_weights
from support.tiny_model import build_tiny_model

from medr_ray.core.config import EngineConfig
from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import Sampling
from medr_ray.engines.factory import ConfiguredEngineFactory
from medr_ray.rollouts.engine_actor import start_engine_actor
from medr_ray.rollouts.engine_client import Dialogue, FleetClient
from medr_ray.rollouts.engine_fleet import EngineFleet, start_fleet
from medr_ray.rollouts.weight_buckets import share_bucket

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_local")]

SAMPLING = Sampling(max_tokens=1)
StartFleet = Callable[..., EngineFleet]


@pytest.fixture
def started() -> Iterator[StartFleet]:
    """Starts fleets that end with the test: an engine for each manner."""
    fleets: list[EngineFleet] = []

    def start(*manners: Callable[[], Any], seconds: float = 60.0) -> EngineFleet:
        def start_actor(number: int) -> Any:
            return start_engine_actor(manners[number], {"CPU": 0.1})

        fleets.append(start_fleet(start_actor, len(manners), seconds, "0.1 CPU"))
        return fleets[-1]

    yield start
    for fleet in fleets:
        fleet.close()


def split(weights: Mapping[str, torch.Tensor]) -> Iterator[dict[str, torch.Tensor]]:
    for name, tensor in weights.items():
        yield {name: tensor}


def ask(client: FleetClient, *dialogues: str) -> list[tuple[int, str]]:
    """(version, process) of an answer to each dialogue; all are open at the same time."""

    async def ask_all() -> list[tuple[int, str]]:
        opened = [client.open_dialogue(name) for name in dialogues]
        answers = await asyncio.gather(*(dialogue.generate([1], SAMPLING) for dialogue in opened))
        return [(answer.version, answer.text.split()[0]) for answer in answers]

    return asyncio.run(ask_all())


def process_of(answer: Any) -> str:
    return str(answer.text.split()[0])


def kill_engine(fleet: EngineFleet, number: int) -> int:
    status = fleet.describe_engines()[number]
    assert status is not None
    os.kill(status.pid, signal.SIGKILL)
    return status.pid


def check_until(fleet: EngineFleet, is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_reached():
        assert time.monotonic() < deadline
        fleet.check()
        time.sleep(0.05)


def test_dialogues_spread_over_engines_and_stay(started: StartFleet) -> None:
    client = started(FakeEngineFactory(), FakeEngineFactory()).open_client()

    async def ask_twice() -> list[list[str]]:
        dialogues = [client.open_dialogue(f"d{number}") for number in range(10)]
        rounds = []
        for _ in range(3):
            answers = await asyncio.gather(*(each.generate([1], SAMPLING) for each in dialogues))
            rounds.append([answer.text for answer in answers])
        assert client.count_dialogues() == [5, 5]
        return rounds

    first, second, third = asyncio.run(ask_twice())
    assert first == second == third
    # Ended dialogues burden nobody.
    assert client.count_dialogues() == [0, 0]


def test_weights_reach_all_engines_and_nobody_holds_two_buckets(started: StartFleet) -> None:
    fleet = started(FakeEngineFactory(), FakeEngineFactory())
    client = fleet.open_client()
    assert {version for version, _ in ask(client, "x", "y")} == {0}
    weights = make_weights(1)
    publication = fleet.publish(1, split(weights))
    assert (publication.version, publication.engines) == (1, 2)
    assert publication.size == 2 * (15 + 7 + 1)
    assert {version for version, _ in ask(client, "x", "y", "z")} == {1}
    digests = [ray.get(engine.actor.checksum.remote()) for engine in fleet._engines]
    assert digests == [compute_digest(weights)] * 2
    # While trainers learn on their devices the engines sleep; new weights wake them.
    fleet.sleep()
    fleet.publish(2, split(make_weights(2)))
    assert {version for version, _ in ask(fleet.open_client(), "x", "y", "z")} == {2}


def test_a_dead_engine_s_dialogues_move_and_it_serves_again_with_the_present_weights(
    started: StartFleet,
) -> None:
    fleet = started(FakeEngineFactory(seconds=0.2), FakeEngineFactory(seconds=0.2))
    client = fleet.open_client()
    fleet.publish(1, split(make_weights(1)))

    async def ask_each(dialogues: list[Dialogue]) -> list[Any]:
        calls = [each.generate([1], SAMPLING) for each in dialogues]
        return await asyncio.gather(*calls, return_exceptions=True)

    async def talk() -> None:
        dialogues = [client.open_dialogue(f"d{number}") for number in range(6)]
        before = await ask_each(dialogues)
        calls = asyncio.create_task(ask_each(dialogues))
        await asyncio.sleep(0.1)
        dead = str(kill_engine(fleet, 0))
        lost = [isinstance(answer, InfrastructureError) for answer in await calls]
        assert lost == [process_of(answer) == dead for answer in before]
        assert sum(lost) == 3
        moved = await ask_each(dialogues)
        [process] = {process_of(answer) for answer in moved}
        assert process != dead
        # It comes up with the weights of its folder, and is not used with them.
        await asyncio.to_thread(check_until, fleet, fleet.awaits_weights)
        statuses = fleet.describe_engines()
        assert [status.is_admitted for status in statuses if status] == [False, True]
        publication = await asyncio.to_thread(
            fleet.publish, 1, split(make_weights(1)), only_missing=True
        )
        assert publication.engines == 2
        # The client finds by itself that the engine is back.
        deadline = time.monotonic() + 30
        processes: set[str] = set()
        while len(processes) < 2:
            assert time.monotonic() < deadline
            answers = await ask_each([client.open_dialogue(f"e{number}") for number in range(8)])
            assert {answer.version for answer in answers} == {1}
            processes = {process_of(answer) for answer in answers}

    asyncio.run(talk())


def test_an_adapter_alone_reaches_all_engines_and_one_that_died(
    started: StartFleet, tmp_path: Path
) -> None:
    model = build_tiny_model(tmp_path / "model", context=64)
    factory = ConfiguredEngineFactory(str(model), EngineConfig(dtype="bfloat16", threads=1))
    fleet = started(factory, factory)
    adapters = {version: make_adapter(version) for version in (1, 2)}
    for version, adapter in adapters.items():
        publication = fleet.publish(version, split(adapter), adapter_scaling=SCALING)
        assert publication.size == sum(tensor.nbytes for tensor in make_adapter(version).values())
    kill_engine(fleet, 0)
    check_until(fleet, lambda: fleet._engines[0].state != "serving")
    check_until(fleet, fleet.awaits_weights)
    # It has the weights of the folder again, to which the present adapter is added.
    fleet.publish(2, split(make_adapter(2)), only_missing=True, adapter_scaling=SCALING)
    expected = compute_digest(add_adapter(read_weights(model), make_adapter(2)))
    digests = [ray.get(engine.actor.checksum.remote()) for engine in fleet._engines]
    assert digests == [expected] * 2


def test_rollouts_wait_while_the_only_engine_is_down(started: StartFleet) -> None:
    fleet = started(FakeEngineFactory())
    client = fleet.open_client()
    kill_engine(fleet, 0)
    check_until(fleet, lambda: not fleet.is_serving())
    check_until(fleet, fleet.awaits_weights)

    async def wait_for_answer() -> int:
        call = asyncio.create_task(client.open_dialogue("d").generate([1], SAMPLING))
        await asyncio.sleep(0.5)
        assert not call.done()
        await asyncio.to_thread(fleet.publish, 0, split(make_weights(0)), only_missing=True)
        return (await call).version

    assert asyncio.run(wait_for_answer()) == 0


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        (FakeEngineFactory(forgets=True), "serves version 0 after being given 1"),
        (FakeEngineFactory(spoils=True), "its weights have checksum"),
    ],
)
def test_an_engine_that_serves_other_weights_is_named_and_not_used(
    started: StartFleet,
    manner: FakeEngineFactory,
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    fleet = started(FakeEngineFactory(), manner)
    publication = fleet.publish(1, split(make_weights(1)))
    assert publication.engines == 1
    assert f"engine 1 is lost: {reason}" in caplog.text or f"engine 1 is lost: it {reason}" in (
        caplog.text
    )
    answers = ask(fleet.open_client(), *(f"d{number}" for number in range(6)))
    assert Counter(version for version, _ in answers) == {1: 6}
    assert len({process for _, process in answers}) == 1


def test_an_engine_that_falls_back_to_old_weights_is_found(
    started: StartFleet, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = started(FakeEngineFactory(), FakeEngineFactory())
    fleet.publish(1, split(make_weights(1)))
    client = fleet.open_client()
    # Behind the fleet's back.
    actor = fleet._engines[1].actor
    old = make_weights(0)
    ray.get(actor.begin_weights.remote(0))
    names, references = share_bucket(make_weights(0))
    ray.get(actor.add_weights.remote(names, *references))
    ray.get(actor.finish_weights.remote(compute_digest(old)))

    async def ask_until_found() -> str:
        dialogues = [client.open_dialogue(f"d{number}") for number in range(6)]
        await asyncio.gather(*(each.generate([1], SAMPLING) for each in dialogues[:1]))
        client._newest_version = 1
        answers = await asyncio.gather(
            *(each.generate([1], SAMPLING) for each in dialogues), return_exceptions=True
        )
        assert {answer.version for answer in answers if not isinstance(answer, Exception)} == {1}
        return " ".join(str(answer) for answer in answers if isinstance(answer, Exception))

    assert "engine 1 answered" in asyncio.run(ask_until_found())
    check_until(fleet, lambda: "serves version 0 instead of 1" in caplog.text)


def test_engines_that_start_with_different_weights_are_refused(started: StartFleet) -> None:
    with pytest.raises(InfrastructureError, match="started with different weights"):
        started(FakeEngineFactory(), FakeEngineFactory(start_weights=1))


def test_an_engine_that_cannot_be_placed_is_named_in_time(ray_local: None) -> None:
    def start_actor(number: int) -> Any:
        return start_engine_actor(FakeEngineFactory(), {"CPU": 0.1, "GPU": number})

    with pytest.raises(InfrastructureError, match=r"engine 1 of 2 has not .* 0 GPU, 0 of them"):
        start_fleet(start_actor, 2, 20.0, "0.1 CPU and 1 GPU")


def test_an_engine_that_cannot_be_started_again_is_no_endless_wait(
    started: StartFleet, tmp_path: Path
) -> None:
    fleet = started(FakeEngineFactory(mark=str(tmp_path / "started")))
    kill_engine(fleet, 0)
    with pytest.raises(InfrastructureError, match="no engine can be started again"):
        check_until(fleet, lambda: False)


def test_an_engine_that_dies_in_an_update_does_not_end_it(started: StartFleet) -> None:
    fleet = started(FakeEngineFactory(), FakeEngineFactory())

    def kill_between() -> Iterator[dict[str, torch.Tensor]]:
        for number, bucket in enumerate(split(make_weights(1))):
            if number == 1:
                kill_engine(fleet, 0)
                time.sleep(1)
            yield bucket

    publication = fleet.publish(1, kill_between())
    assert publication.engines == 1
    assert {version for version, _ in ask(fleet.open_client(), "a", "b", "c")} == {1}
