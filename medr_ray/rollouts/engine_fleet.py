"""The engines that rollouts are sampled from, as the process sees them that owns them.

Guaranteed:

- Every engine that is used serves the present weights: same version, same checksum. One that does
  not is named in the log, taken out of use and started again.
- Ray starts an engine that died again. It is used after it has been given the present weights
  (``publish`` with ``only_missing``).
- New weights come as a stream of buckets. A bucket is in memory until the engines have it; beside
  it there is at most the one that is being gathered.
- Nothing waits for ever: starts, answers and updates have limits, and what passes one is named.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import ray
from ray.exceptions import (
    ActorDiedError,
    GetTimeoutError,
    RayActorError,
    RayError,
    RayTaskError,
)

from medr_ray.core.errors import InfrastructureError
from medr_ray.rollouts.engine_actor import EngineStatus
from medr_ray.rollouts.engine_client import FleetClient
from medr_ray.rollouts.weight_buckets import share_bucket

if TYPE_CHECKING:
    import torch

_CHECK_SECONDS = 1.0  # between two looks at an engine
# For an answer to such a look. Engines work in threads of their own, so that one that answers
# nothing for so long hangs.
_ANSWER_SECONDS = 60.0
# Losses in a row, without serving between them, after which it is not the nodes that are at fault.
_MAX_LOSSES = 5
# Rollout workers wait at most this long for an engine before they give a rollout back. The pool
# begins no rollout while none serves.
_OUTAGE_SECONDS = 30.0
_LOG = logging.getLogger(__name__)

# ``serving``: it has the present weights. ``lost``: it died or was taken out of use, and comes up
# again. ``waiting``: it is up, and waits for weights.
EngineState = Literal["serving", "lost", "waiting"]


@dataclass(frozen=True)
class Publication:
    """New weights that ``engines`` engines serve since; ``size`` in bytes, sent to each node
    once."""

    version: int
    engines: int
    size: int
    seconds: float


@dataclass(eq=False)
class _Engine:
    """An engine of the fleet. ``start``: see ``EngineStatus``. ``losses`` counts since it last
    began to serve, the last of them at ``lost_at`` (monotonic seconds). ``is_gone``: Ray cannot
    start it again. ``question`` is a call of ``describe`` that was made at ``asked``."""

    number: int
    actor: Any
    state: EngineState = "lost"
    start: str = ""
    losses: int = 0
    last_loss: str = ""
    lost_at: float = field(default_factory=time.monotonic)
    is_gone: bool = False
    question: Any = None
    asked: float = field(default_factory=time.monotonic)


class EngineFleet:
    """Engines that are up, under version 0 of the weights (see ``start_fleet``). It is used by one
    thread; ``is_serving`` by any.

    ``seconds`` is the limit for a start and for each step of an update, and for what is asked of
    all engines at once.
    """

    def __init__(self, actors: Sequence[Any], seconds: float) -> None:
        self._engines = [_Engine(number, actor) for number, actor in enumerate(actors)]
        self._seconds = seconds
        self._version = 0
        self._is_asleep = False

    # --- what rollouts need -----------------------------------------------------------------

    def open_client(self) -> FleetClient:
        """What rollout workers sample through; it may be sent to them."""
        return FleetClient([engine.actor for engine in self._engines], _OUTAGE_SECONDS)

    def is_serving(self) -> bool:
        """Whether any engine serves, as far as ``check`` has found."""
        return any(engine.state == "serving" for engine in self._engines)

    # --- weights ----------------------------------------------------------------------------

    def open_with_start_weights(self) -> None:
        """Let the engines answer under version 0, with the weights they were started with.

        Raises InfrastructureError when they do not all have the same.
        """
        answers = self._ask(self._engines, "describe")
        checksums = self._ask(self._engines, "checksum")
        by_checksum: dict[str, list[int]] = {}
        for engine in self._engines:
            if engine not in answers or engine not in checksums:
                raise InfrastructureError(f"engine {engine.number}: {engine.last_loss}")
            by_checksum.setdefault(checksums[engine], []).append(engine.number)
        if len(by_checksum) > 1:
            groups = "; ".join(f"{engines}: {text}" for text, engines in by_checksum.items())
            raise InfrastructureError(
                f"the engines started with different weights (engines: checksum): {groups}. Give "
                "every node the same model folder"
            )
        self._admit(self._engines, answers)

    def publish(
        self,
        version: int,
        buckets: "Iterable[dict[str, torch.Tensor]]",
        only_missing: bool = False,
        adapter_scaling: float | None = None,
    ) -> Publication:
        """Give the engines new weights; returns once all of them answer under ``version``.

        ``buckets`` are walked through once, and each is emptied. With ``only_missing`` the engines
        that serve already keep on, and those that wait for weights get them: ``version`` is then
        the present one. With ``adapter_scaling`` the buckets have a LoRA adapter alone (see
        ``Engine.begin_weights``). Raises InfrastructureError when no engine is left.
        """
        from medr_ray.engines.weight_checksum import WeightChecksum

        started = time.monotonic()
        self.wake()
        receivers = self._find_receivers(only_missing)
        # All of them, before the first has new weights: no rollout sees two versions in turn.
        self._ask(receivers, "pause")
        receivers = self._list_reached(receivers)
        self._ask(receivers, "begin_weights", version, adapter_scaling)
        checksum = WeightChecksum()
        size = 0
        sent: dict[_Engine, Any] = {}
        for bucket in buckets:
            for name, tensor in bucket.items():
                checksum.add(name, tensor)
                size += tensor.nbytes
            # Only now: the engines read the bucket before while this one was gathered.
            self._collect(sent, "add_weights")
            names, references = share_bucket(bucket)
            sent = {
                engine: engine.actor.add_weights.remote(names, *references)
                for engine in self._list_reached(receivers)
            }
            # The store frees them when the engines have read them.
            del references
        self._collect(sent, "add_weights")
        digest = checksum.hexdigest()
        versions = self._ask(self._list_reached(receivers), "finish_weights", digest)
        for engine, served in versions.items():
            if served != version:
                self._lose(engine, f"it serves version {served} after being given {version}")
        if adapter_scaling is None:
            self._require_checksum(self._list_reached(receivers), digest)
        else:
            self._require_equal_weights(self._list_reached(receivers))
        receivers = self._list_reached(receivers)
        self._admit(receivers, self._ask(receivers, "describe"))
        self._version = version
        serving = [engine for engine in self._engines if engine.state == "serving"]
        if not serving:
            raise InfrastructureError(f"no engine is left: {self._describe_losses()}")
        return Publication(version, len(serving), size, round(time.monotonic() - started, 3))

    # --- health -----------------------------------------------------------------------------

    def check(self) -> None:
        """Look after the engines, without waiting for them. To be called often.

        One that died, hangs, or answers under another version is named and taken out of use. Raises
        InfrastructureError for one that is lost again and again, and when none is left that can be
        started.
        """
        if all(engine.is_gone for engine in self._engines):
            raise InfrastructureError(f"no engine can be started again: {self._describe_losses()}")
        for engine in self._engines:
            if not engine.is_gone:
                self._look_at(engine, time.monotonic())

    def awaits_weights(self) -> bool:
        """Whether an engine is up that has to be given the present weights, as far as ``check`` has
        found."""
        return any(engine.state == "waiting" for engine in self._engines)

    def describe_engines(self) -> list[EngineStatus | None]:
        """How each engine stands; None where it cannot be reached now."""
        statuses: list[EngineStatus | None] = []
        for engine in self._engines:
            try:
                statuses.append(ray.get(engine.actor.describe.remote(), timeout=self._seconds))
            except (RayActorError, GetTimeoutError) as error:
                _LOG.info("engine %d cannot be reached: %s", engine.number, error)
                statuses.append(None)
        return statuses

    # --- memory -----------------------------------------------------------------------------

    def sleep(self) -> None:
        """Give back the devices' memory, for trainers on the same GPUs; new weights wake the
        engines."""
        if not self._is_asleep:
            self._is_asleep = True
            self._ask(self._list_serving(), "sleep")

    def wake(self) -> None:
        """Take the memory again. No effect on engines that are awake."""
        if self._is_asleep:
            self._is_asleep = False
            self._ask(self._list_serving(), "wake")

    def close(self) -> None:
        """Kill all engines, with the requests that are still running."""
        if ray.is_initialized():
            for engine in self._engines:
                ray.kill(engine.actor)

    # --- helpers ----------------------------------------------------------------------------

    def _list_serving(self) -> list[_Engine]:
        return [engine for engine in self._engines if engine.state == "serving"]

    def _list_reached(self, engines: Iterable[_Engine]) -> list[_Engine]:
        """Without those that were lost meanwhile."""
        return [engine for engine in engines if engine.state != "lost"]

    def _find_receivers(self, only_missing: bool) -> list[_Engine]:
        """The engines to give weights to; waits for one to come up where none is."""
        deadline = time.monotonic() + self._seconds
        while True:
            waiting = [engine for engine in self._engines if engine.state == "waiting"]
            receivers = waiting if only_missing else [*self._list_serving(), *waiting]
            if receivers:
                return receivers
            if time.monotonic() > deadline:
                raise InfrastructureError(
                    f"no engine came up within {self._seconds:g} s (engine.start_seconds): "
                    f"{self._describe_losses()}"
                )
            self.check()
            time.sleep(_CHECK_SECONDS / 4)

    def _admit(self, engines: Sequence[_Engine], statuses: Mapping[_Engine, EngineStatus]) -> None:
        """Let engines answer that have the present weights."""
        admitted = self._ask(engines, "admit")
        for engine in engines:
            # One that died since and came up again is not among them: it has another start.
            if engine in admitted and engine in statuses:
                engine.start = statuses[engine].start
                engine.state = "serving"
                engine.losses = 0

    def _require_checksum(self, engines: Sequence[_Engine], digest: str) -> None:
        """Take engines out of use whose weights are others than ``digest`` says."""
        for engine, checksum in self._ask(engines, "checksum").items():
            if checksum != digest:
                self._lose(engine, f"its weights have checksum {checksum}; {digest} were sent")

    def _require_equal_weights(self, engines: Sequence[_Engine]) -> None:
        """Take engines out of use whose weights are others than those of most. What the weights
        are with an adapter, its sender does not know."""
        checksums = self._ask(engines, "checksum")
        if not checksums:
            return
        ((common, _),) = Counter(checksums.values()).most_common(1)
        for engine, checksum in checksums.items():
            if checksum != common:
                self._lose(engine, f"its weights have checksum {checksum}, those of most {common}")

    def _look_at(self, engine: _Engine, now: float) -> None:
        """Ask an engine how it stands, or take its answer, where there is one."""
        if engine.state == "lost" and now - engine.lost_at > self._seconds:
            self._lose(
                engine,
                f"it has not come up again within {self._seconds:g} s (engine.start_seconds)",
            )
            return
        if engine.question is None:
            if now - engine.asked >= _CHECK_SECONDS:
                engine.question = engine.actor.describe.remote()
                engine.asked = now
            return
        answered, _ = ray.wait([engine.question], timeout=0)
        if answered:
            question = engine.question
            engine.question = None
            self._take_answer(engine, question)
        elif engine.state != "lost" and now - engine.asked > _ANSWER_SECONDS:
            self._lose(engine, f"it has answered nothing for {_ANSWER_SECONDS:g} s")

    def _take_answer(self, engine: _Engine, question: Any) -> None:
        try:
            status: EngineStatus = ray.get(question)
        except RayTaskError:
            raise  # a defect of ours
        except RayError as error:
            # While it is being started again, every look says so anew.
            if engine.state != "lost":
                self._lose(engine, f"it died ({type(error).__name__})", kill=False)
            elif isinstance(error, ActorDiedError):
                engine.is_gone = True
                engine.last_loss = f"it cannot be started again: {_first_line(error)}"
                _LOG.warning("engine %d: %s", engine.number, engine.last_loss)
            return
        if engine.state == "lost":
            engine.state = "waiting"
        elif engine.state == "serving" and status.start != engine.start:
            self._lose(engine, "it died and was started again", kill=False)
            engine.state = "waiting"
        elif engine.state == "serving" and status.version != self._version:
            self._lose(engine, f"it serves version {status.version} instead of {self._version}")

    def _ask(self, engines: Sequence[_Engine], method: str, *arguments: Any) -> dict[_Engine, Any]:
        """The answers of all engines at once. Those that fail are lost and have none."""
        calls = {engine: getattr(engine.actor, method).remote(*arguments) for engine in engines}
        return self._collect(calls, method)

    def _collect(self, calls: Mapping[_Engine, Any], method: str) -> dict[_Engine, Any]:
        """The answers to calls of ``method``, which all have the same time."""
        deadline = time.monotonic() + self._seconds
        answers: dict[_Engine, Any] = {}
        for engine, call in calls.items():
            try:
                answers[engine] = ray.get(call, timeout=max(0.0, deadline - time.monotonic()))
            except GetTimeoutError:
                self._lose(engine, f"{method} has not ended within {self._seconds:g} s")
            except RayActorError as error:
                self._lose(engine, f"it died in {method} ({type(error).__name__})", kill=False)
            except InfrastructureError as error:
                self._lose(engine, f"{method} failed: {_first_line(error)}")
        return answers

    def _lose(self, engine: _Engine, reason: str, kill: bool = True) -> None:
        """Take an engine out of use. Ray starts it again."""
        engine.state = "lost"
        engine.losses += 1
        engine.last_loss = reason
        engine.lost_at = time.monotonic()
        engine.question = None
        engine.asked = time.monotonic()
        _LOG.warning("engine %d is lost: %s", engine.number, reason)
        if kill and ray.is_initialized():
            ray.kill(engine.actor, no_restart=False)
        if engine.losses >= _MAX_LOSSES:
            raise InfrastructureError(
                f"engine {engine.number} was lost {engine.losses} times without serving between; "
                f"the last time: {reason}. See the worker logs of the cluster; too little memory "
                "is the usual cause"
            )

    def _describe_losses(self) -> str:
        return "; ".join(
            f"engine {engine.number}: {engine.last_loss or 'lost'}"
            for engine in self._engines
            if engine.state == "lost"
        )


def start_fleet(
    start_actor: Callable[[int], Any], count: int, seconds: float, needs: str
) -> EngineFleet:
    """Start ``count`` engines, and return when all are up and serve under version 0.

    ``start_actor`` starts the actor of an engine by its number; ``needs`` says what each needs.
    Raises InfrastructureError when they are not up within ``seconds``, and what an engine's start
    raised.
    """
    actors = [start_actor(number) for number in range(count)]
    try:
        _await_start(actors, seconds, needs)
        fleet = EngineFleet(actors, seconds)
        fleet.open_with_start_weights()
    except BaseException:
        for actor in actors:
            ray.kill(actor)
        raise
    return fleet


def _await_start(actors: Sequence[Any], seconds: float, needs: str) -> None:
    questions = [actor.describe.remote() for actor in actors]
    deadline = time.monotonic() + seconds
    pending = questions
    while pending:
        answered, pending = ray.wait(pending, timeout=max(0.0, deadline - time.monotonic()))
        # Raises here when the model cannot be loaded.
        ray.get(answered)
        if not answered:
            late = [str(number) for number, call in enumerate(questions) if call in pending]
            total = ray.cluster_resources()
            free = ray.available_resources()
            amounts = ", ".join(
                f"{total.get(name, 0):g} {name}, {free.get(name, 0):g} of them free"
                for name in ("CPU", "GPU")
            )
            raise InfrastructureError(
                f"engine {', '.join(late)} of {len(actors)} has not started within {seconds:g} s "
                f"(engine.start_seconds). Each needs {needs}; the cluster has {amounts}: lower "
                "engine.engines, free resources, or allow more time"
            )


def _first_line(error: Exception) -> str:
    """The message of an error of an actor, whose text is a whole traceback."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    lines = str(cause).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
