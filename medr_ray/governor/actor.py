"""One governor for all callers: a named Ray actor where Ray is up, an object of the process where
it is not.

The actor outlives the job that made it, so jobs of one cluster that share a service share its
limits. It restarts when its process dies; processes tell the new one what they hold, and it hands
nothing out before the slots of the old one have passed.
"""

import os
import sys
import threading
from typing import Any

from medr_ray.governor.budget import Charge, Spend
from medr_ray.governor.client import Desk, GovernorLost
from medr_ray.governor.limits import Service
from medr_ray.governor.metrics import RayMetrics, ServiceState
from medr_ray.governor.protocol import Message, Reply
from medr_ray.governor.server import Office

_ACTOR, _NAMESPACE = (
    "medr_governor_2",
    "medr",
)  # the number counts the changes to what processes and actor tell
_WAITING = 10_000  # messages whose answers may be waited for at once
Session = tuple[int, str, str]


class ProcessGovernor(Desk):
    """The governor of a process without Ray."""

    def __init__(self) -> None:
        super().__init__(Office())


class GovernorActor(Office):
    """The governor of a cluster."""

    def __init__(self) -> None:
        import ray

        restarted = bool(ray.get_runtime_context().was_current_actor_reconstructed)
        super().__init__(restarted, RayMetrics().publish)


class _ActorPort:
    """The way to the actor, which is made if there is none."""

    def __init__(self) -> None:
        self._actor: Any = None

    async def exchange(self, client: str, service: Service, message: Message) -> Reply:
        return await self._call("exchange", client, service, message)

    async def reserve(self, client: str, charge: Charge, before: Spend) -> str:
        return await self._call("reserve", client, charge, before)

    async def settle(self, client: str, charge: Charge, used: Spend) -> None:
        await self._call("settle", client, charge, used)

    async def snapshot(self) -> tuple[ServiceState, ...]:
        return await self._call("snapshot")

    async def _call(self, method: str, *arguments: Any) -> Any:
        import ray

        if not ray.is_initialized():  # else Ray would start a cluster
            raise GovernorLost("Ray was shut down")
        try:
            if self._actor is None:
                self._actor = (
                    ray.remote(GovernorActor)
                    .options(
                        name=_ACTOR,
                        namespace=_NAMESPACE,
                        get_if_exists=True,
                        lifetime="detached",
                        num_cpus=0,
                        max_concurrency=_WAITING,
                        max_restarts=-1,
                    )
                    .remote()
                )
            return await getattr(self._actor, method).remote(*arguments)
        except (ray.exceptions.RayActorError, ray.exceptions.RaySystemError, ValueError) as error:
            self._actor = None
            raise GovernorLost(str(error)) from error


_lock = threading.Lock()
_process_governor = ProcessGovernor()
_process = os.getpid()
_cluster: tuple[Session, Desk] | None = None


def governor() -> Desk:
    """The desk of this process at the governor that all callers of the cluster, or of the process,
    share."""
    global _cluster, _process, _process_governor
    session = _session()
    with _lock:
        if session is None:
            if _process != os.getpid():  # forked: the threads of the desk are gone
                _process, _process_governor = os.getpid(), ProcessGovernor()
            return _process_governor
        if _cluster is None or _cluster[0] != session:
            if _cluster is not None and _cluster[0][0] == session[0]:
                _cluster[1].close()
            _cluster = session, Desk(_ActorPort())
        return _cluster[1]


def _session() -> Session | None:
    """The Ray session that this process belongs to, if any."""
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    context = ray.get_runtime_context()
    return os.getpid(), context.get_node_id(), context.get_job_id()
