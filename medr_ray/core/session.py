"""The Ray session: join the cluster that a job runs on, or start a private local instance and shut
down exactly that one."""

import contextlib
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import ray
from ray._common.utils import get_default_system_temp_dir
from ray._private import ray_constants

from medr_ray.core.config import RayConfig
from medr_ray.core.placement import find_cluster_address
from medr_ray.core.private_files import FILE_MODE, claim_private_folder

# Read when a process starts, so they must be in the environment that the workers of a private
# instance inherit.
WORKER_ENVIRONMENT = {
    # Torch threads that spin for as long as they wait (the default) slow every other busy process
    # tenfold on few cores; threads that never spin are a quarter slower at learning. This count is
    # about half a millisecond.
    "GOMP_SPINCOUNT": "20000",
    # Keep large tensors in the process instead of mapping and unmapping them at every step: the
    # page faults cost more than the arithmetic of a small model.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_ARENA_MAX": "1",
    # The default of 2 s is most of the overhead of a short training run.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # A process that asks which nodes will be taken away; the only node of a private instance never
    # is.
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
}


# Ray's switch for "no cluster": everything then listens at 127.0.0.1. It is named after the systems
# where it is the default, and read by this process as a constant and by its children from the
# environment.
_CLUSTER_SWITCH = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


@contextlib.contextmanager
def ray_session(config: RayConfig) -> Iterator[None]:
    """Provide Ray inside the block.

    A session that was up before, or a cluster joined by address, stays up afterwards. A private
    instance listens on loopback only, and its session folder and token are its owner's alone.
    Raises ConfigError where somebody else holds the place of that folder.
    """
    if ray.is_initialized():
        yield
        return
    address = find_cluster_address(config)
    # A cluster's workers have the environment of their nodes, which is not ours to set.
    if address:
        ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False)
        try:
            yield
        finally:
            # The cluster is only left.
            ray.shutdown()
        return
    for name, value in WORKER_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with _loopback_only():
        _start_private_instance(config)
        try:
            yield
        finally:
            ray.shutdown()


def _start_private_instance(config: RayConfig) -> None:
    # Ray makes its session folder writable for everybody, so it lies in one that only the owner
    # enters. Its name is short: a socket's path has 107 characters at most.
    folder = Path(get_default_system_temp_dir()).absolute() / f"medr-{os.getuid()}"
    claim_private_folder(folder)
    # Ray writes its token, and its processes their files, as this says.
    earlier_mask = os.umask(0o077)
    try:
        ray.init(
            # "local" always starts an instance. A plain ``ray.init`` would join one that happens to
            # run on this host, or trip over what a dead one left.
            "local",
            num_cpus=config.num_cpus,
            object_store_memory=config.object_store_mb * 2**20,
            include_dashboard=config.dashboard,
            logging_level=logging.WARNING,
            log_to_driver=False,
            _temp_dir=str(folder / "ray"),
        )
    finally:
        os.umask(earlier_mask)
    _make_token_private()


@contextlib.contextmanager
def _loopback_only() -> Iterator[None]:
    """Let a Ray that is started inside the block listen on loopback only. What the user has set
    stays in force."""
    if _CLUSTER_SWITCH in os.environ:
        yield
        return
    earlier = ray_constants.ENABLE_RAY_CLUSTER
    os.environ[_CLUSTER_SWITCH] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        # A cluster that this process starts or joins later is to be reached by its own address.
        ray_constants.ENABLE_RAY_CLUSTER = earlier
        del os.environ[_CLUSTER_SWITCH]


def _make_token_private() -> None:
    """Take the rights of others from Ray's token, which an earlier Ray may have left to all."""
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    # A token of somebody else's is theirs to protect.
    with contextlib.suppress(OSError):
        path.chmod(FILE_MODE)
