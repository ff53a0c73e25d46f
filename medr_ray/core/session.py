"""The Ray session: join the cluster that a job runs on, or start a private local instance and shut
down exactly that one."""

import contextlib
import logging
import os
from collections.abc import Iterator

import ray

from medr_ray.core.config import RayConfig
from medr_ray.core.placement import find_cluster_address

# Read when a process starts, so they must be in the environment that the workers of a private
# instance inherit.
_WORKER_ENVIRONMENT = {
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
}


@contextlib.contextmanager
def ray_session(config: RayConfig) -> Iterator[None]:
    """Provide Ray inside the block.

    A session that was up before, or a cluster joined by address, stays up afterwards.
    """
    if ray.is_initialized():
        yield
        return
    address = find_cluster_address(config)
    # A cluster's workers have the environment of their nodes, which is not ours to set.
    if address:
        ray.init(address=address, logging_level=logging.WARNING, log_to_driver=False)
    else:
        for name, value in _WORKER_ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        ray.init(
            # "local" always starts an instance. A plain ``ray.init`` would join one that happens to
            # run on this host, or trip over what a dead one left.
            "local",
            num_cpus=config.num_cpus,
            object_store_memory=config.object_store_mb * 2**20,
            include_dashboard=config.dashboard,
            logging_level=logging.WARNING,
            log_to_driver=False,
        )
    try:
        yield
    finally:
        # Ends the private instance; a cluster that was joined is only left.
        ray.shutdown()
