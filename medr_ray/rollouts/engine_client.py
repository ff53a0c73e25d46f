"""Where the rollouts of a worker send their prompts: to the engines of a fleet, each dialogue to
one of them.

Guaranteed: a dialogue stays with its engine, which has read it before, for as long as the engine
serves. New dialogues go to the engine that has the fewest of this worker's. The dialogues of an
engine that is down go on at others. A request that was lost with its engine raises
InfrastructureError, and so does an answer under an older version of the weights than one that came
before the request was sent: neither becomes a part of a rollout.
"""

import asyncio
import hashlib
import logging
import time
import weakref
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from medr_ray.core.errors import InfrastructureError
from medr_ray.engines.base import Generation, Sampling
from medr_ray.rollouts.engine_actor import EngineNotAdmitted, EngineStatus

_PROBE_SECONDS = 0.5  # between two looks at an engine that is down
_ANSWER_SECONDS = 10.0  # for a look; an engine that answers later is as good as down
_LOG = logging.getLogger(__name__)


class Dialogue:
    """The requests of one dialogue. Its engine counts it for as long as somebody holds it."""

    def __init__(self, client: "FleetClient", name: str) -> None:
        self._client = client
        self.name = name
        self.engine: int | None = None  # where it stays; None before its first request

    async def generate(self, prompt: list[int], sampling: Sampling) -> Generation:
        """Token ids after ``prompt``, with their log-probabilities."""
        return await self._client.generate(self, prompt, sampling)


class FleetClient:
    """The engines as one worker sees them. It belongs to one event loop; it can be sent to other
    processes, which then begin with what they see themselves.

    ``outage_seconds``: how long a request waits while no engine serves.
    """

    def __init__(self, actors: Sequence[Any], outage_seconds: float) -> None:
        self._actors = tuple(actors)
        self._outage_seconds = outage_seconds
        # Weak: a dialogue that nobody holds any more burdens no engine.
        self._dialogues: list[weakref.WeakSet[Dialogue]] = [weakref.WeakSet() for _ in actors]
        self._down: dict[int, asyncio.Task[None]] = {}  # what looks for its return, by engine
        self._newest_version = 0  # of the weights, among the answers so far
        self._first_look: asyncio.Task[None] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return FleetClient, (self._actors, self._outage_seconds)

    def open_dialogue(self, name: str) -> Dialogue:
        """A dialogue; ``name`` identifies it."""
        return Dialogue(self, name)

    async def generate(
        self, dialogue: Dialogue, prompt: list[int], sampling: Sampling
    ) -> Generation:
        """The answer of the dialogue's engine. Raises InfrastructureError."""
        deadline = time.monotonic() + self._outage_seconds
        while True:
            engine = await self._find_engine(dialogue, deadline)
            newest = self._newest_version
            try:
                generation = await self._request(engine, prompt, sampling, dialogue.name)
            except EngineNotAdmitted:
                # It was not begun, so another engine may answer it.
                self._note_down(engine, "it has not been given the present weights")
                continue
            except RayActorError as error:
                self._note_down(engine, f"it died ({type(error).__name__})")
                raise InfrastructureError(
                    f"engine {engine} died under {dialogue.name}: {type(error).__name__}"
                ) from error
            if generation.version < newest:
                problem = f"it answers under version {generation.version} of the weights"
                self._note_down(engine, f"{problem}, after answers under version {newest}")
                raise InfrastructureError(
                    f"engine {engine} answered {dialogue.name} under version {generation.version} "
                    f"of the weights, where version {newest} is served: the answer is not used"
                )
            self._newest_version = max(newest, generation.version)
            return generation

    def count_dialogues(self) -> list[int]:
        """How many open dialogues of this process each engine has."""
        return [len(dialogues) for dialogues in self._dialogues]

    async def _request(
        self, engine: int, prompt: list[int], sampling: Sampling, dialogue: str
    ) -> Generation:
        reference = self._actors[engine].generate.remote(prompt, sampling, dialogue)
        try:
            return await reference
        except asyncio.CancelledError:
            # Nobody waits for its tokens any more.
            ray.cancel(reference)
            raise

    async def _find_engine(self, dialogue: Dialogue, deadline: float) -> int:
        """The engine of a dialogue, another one where that is down. Waits while all are down."""
        if self._first_look is None:
            # A request to an engine that is just being started again would be lost.
            self._first_look = asyncio.create_task(self._look_at_engines())
        await asyncio.shield(self._first_look)
        while True:
            if dialogue.engine is not None and dialogue.engine not in self._down:
                return dialogue.engine
            engine = self._choose_engine(dialogue)
            if engine is not None:
                self._assign_dialogue(dialogue, engine)
                return engine
            if time.monotonic() > deadline:
                raise InfrastructureError(
                    f"none of the {len(self._actors)} engines has served for "
                    f"{self._outage_seconds:g} s"
                )
            await asyncio.sleep(_PROBE_SECONDS)

    def _choose_engine(self, dialogue: Dialogue) -> int | None:
        """The engine with the fewest dialogues; None while all are down."""
        engines = [engine for engine in range(len(self._actors)) if engine not in self._down]
        # Between equal ones the name decides: if all workers began with the first engine, workers
        # with few dialogues would leave the last ones idle.
        return min(
            engines,
            key=lambda engine: (len(self._dialogues[engine]), _rank(dialogue.name, engine)),
            default=None,
        )

    def _assign_dialogue(self, dialogue: Dialogue, engine: int) -> None:
        if dialogue.engine is not None:
            self._dialogues[dialogue.engine].discard(dialogue)
        dialogue.engine = engine
        self._dialogues[engine].add(dialogue)

    def _note_down(self, engine: int, problem: str) -> None:
        if engine not in self._down:
            _LOG.warning("engine %d is not used: %s", engine, problem)
            self._down[engine] = asyncio.create_task(self._await_return(engine))

    async def _look_at_engines(self) -> None:
        engines = range(len(self._actors))
        for engine, serves in zip(
            engines, await asyncio.gather(*map(self._serves_newest, engines)), strict=True
        ):
            if not serves:
                self._note_down(engine, "it does not serve yet")

    async def _await_return(self, engine: int) -> None:
        """Use an engine again as soon as it serves the newest weights."""
        while not await self._serves_newest(engine):
            await asyncio.sleep(_PROBE_SECONDS)
        del self._down[engine]

    async def _serves_newest(self, engine: int) -> bool:
        """Whether an engine can be reached and has the newest weights that were seen."""
        try:
            status: EngineStatus = await asyncio.wait_for(
                self._actors[engine].describe.remote(), _ANSWER_SECONDS
            )
        except (RayError, TimeoutError) as error:
            _LOG.debug("engine %d is down: %s", engine, error)
            return False
        return status.is_admitted and status.version >= self._newest_version


def _rank(dialogue: str, engine: int) -> bytes:
    """The order in which a dialogue prefers engines, alike in every process."""
    return hashlib.blake2b(f"{dialogue}/{engine}".encode(), digest_size=8).digest()
