"""The one governor of all callers: a named Ray actor, or an object in the process without Ray.

The actor outlives the job that created it, so all jobs of a cluster that use a service share its
limits. It restarts when its process dies: clients report their leases and slots to the new one,
which grants nothing before the slots of the old one have passed.
"""

import os
import sys
import threading
from typing import Any

from medr_ray.governor.budget import Charge, Spend
from medr_ray.governor.client import GovernorClient, GovernorLost
from medr_ray.governor.limits import GovernedService
from medr_ray.governor.metrics import RayMetrics, ServiceState
from medr_ray.governor.protocol import GovernorResponse, StateReport
from medr_ray.governor.server import GovernorServer

# A detached actor outlives the code that made it. The number grows with every change of the
# protocol, so that new clients never talk to an actor of older code.
_ACTOR_NAME = "medr_governor_3"
_NAMESPACE = "medr"
_MAX_PENDING_CALLS = 10_000  # each long poll of each process and service occupies one

RaySession = tuple[int, str, str]  # process id, node id, job id


class LocalGovernorClient(GovernorClient):
    """A client of a governor that serves this process alone."""

    def __init__(self) -> None:
        super().__init__(GovernorServer())


class GovernorActor(GovernorServer):
    """The governor of a cluster."""

    def __init__(self) -> None:
        import ray

        restarted = bool(ray.get_runtime_context().was_current_actor_reconstructed)
        super().__init__(restarted, RayMetrics().publish)


class _ActorConnection:
    """The connection to the actor, which is made if there is none."""

    def __init__(self) -> None:
        self._actor: Any = None

    async def exchange(
        self, client_id: str, service: GovernedService, report: StateReport
    ) -> GovernorResponse:
        return await self._call_actor("exchange", client_id, service, report)

    async def reserve(self, client_id: str, charge: Charge, already_reserved: Spend) -> str:
        return await self._call_actor("reserve", client_id, charge, already_reserved)

    async def settle(self, client_id: str, charge: Charge, used: Spend) -> None:
        await self._call_actor("settle", client_id, charge, used)

    async def snapshot(self) -> tuple[ServiceState, ...]:
        return await self._call_actor("snapshot")

    async def _call_actor(self, method: str, *arguments: Any) -> Any:
        import ray

        # Without this check Ray would start a cluster of its own.
        if not ray.is_initialized():
            raise GovernorLost("Ray was shut down")
        try:
            if self._actor is None:
                self._actor = _get_or_create_actor()
            # Awaited on the client's own loop: a blocking ``ray.get`` would hold up its other
            # services.
            return await getattr(self._actor, method).remote(*arguments)
        # Ray raises ValueError where it cannot look the name up.
        except (ray.exceptions.RayActorError, ray.exceptions.RaySystemError, ValueError) as error:
            self._actor = None
            raise GovernorLost(str(error)) from error


def _get_or_create_actor() -> Any:
    import ray

    options = {
        "name": _ACTOR_NAME,
        "namespace": _NAMESPACE,
        # Many processes come at once; the first makes the actor and the others get it.
        "get_if_exists": True,
        "lifetime": "detached",
        "num_cpus": 0,  # it must start however busy the cluster is
        "max_concurrency": _MAX_PENDING_CALLS,
        "max_restarts": -1,
    }
    return ray.remote(GovernorActor).options(**options).remote()


_lock = threading.Lock()
_local_client = LocalGovernorClient()
_local_client_pid = os.getpid()
_cluster_client: tuple[RaySession, GovernorClient] | None = None


def get_governor_client() -> GovernorClient:
    """This process's client of the governor that all callers of the cluster, or of the process,
    share."""
    session = _current_ray_session()
    with _lock:
        if session is None:
            return _get_local_client()
        return _get_cluster_client(session)


def _get_local_client() -> GovernorClient:
    global _local_client, _local_client_pid
    if _local_client_pid != os.getpid():
        # This process was forked: the client's thread exists only in its parent.
        _local_client_pid = os.getpid()
        _local_client = LocalGovernorClient()
    return _local_client


def _get_cluster_client(session: RaySession) -> GovernorClient:
    global _cluster_client
    if _cluster_client is not None:
        known_session, client = _cluster_client
        if known_session == session:
            return client
        # Only the process that made a client has its thread and may close it.
        if known_session[0] == session[0]:
            client.close()
    client = GovernorClient(_ActorConnection())
    _cluster_client = (session, client)
    return client


def _current_ray_session() -> RaySession | None:
    """The Ray session that this process belongs to, if any."""
    # Ray is not imported here: a process that did not import it is in no session.
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return None
    context = ray.get_runtime_context()
    return os.getpid(), context.get_node_id(), context.get_job_id()
