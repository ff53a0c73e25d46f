"""Starting and stopping the Serve application of a run: gateway, model and retriever on one
address.

What holds: the address answers when ``serve_application`` yields it; everything it started is gone
afterwards; a taken port or a missing model is said before anything starts.
"""

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.run import RunDirectory, open_run
from medr_ray.engines.weights import model_path
from medr_ray.serving.keys import KeyGate

if TYPE_CHECKING:
    from ray.serve import Application

_NAME = "medr"
_SEARCH_CPUS = (
    0.5  # a query is milliseconds of work; leaves room for a model and an agent worker on 2 CPUs
)
_GATEWAY_REQUESTS = 10_000  # the gateway only waits; the model's queue is what refuses


@dataclass(frozen=True)
class ServedApplication:
    """Where it answers (``http://host:port/v1``) and under which model names."""

    base_url: str
    models: tuple[str, ...]


def find_weights_directories(config: PipelineConfig, run: RunDirectory) -> dict[str, str]:
    """Model directories of a run by name: base, and sft and grpo where those stages have written
    theirs."""
    found = {"base": str(model_path(config.models.policy))}
    for name in ("sft", "grpo"):
        if run.stage(name).exists("model/config.json"):
            found[name] = str(run.stage(name).local / "model")
    return found


def served_directories(config: PipelineConfig, run: RunDirectory) -> dict[str, str]:
    """Model directories by served name, ``serving.model_name`` first. Raises MedrError when its
    weights are absent."""
    found = find_weights_directories(config, run)
    wanted = config.serving.weights
    if wanted not in found:
        raise MedrError(
            f"{run.uri} has no {wanted} model yet: run `medr run --until {wanted}`, "
            f"or serve others with --set serving.weights={max(found, key=list(found).index)}"
        )
    return {config.serving.model_name: found[wanted], **found}


def find_free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def check_port(host: str, port: int) -> None:
    """Raises MedrError when something already listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise MedrError(
                f"cannot listen on {host}:{port} ({error.strerror}): "
                "choose another with --set serving.port=PORT"
            ) from None


@contextlib.contextmanager
def serve_application(
    config: PipelineConfig,
    run: RunDirectory,
    *,
    key: str | None = None,
) -> Iterator[ServedApplication]:
    """Serve the run's models and index at ``serving.host`` and ``serving.port``; Ray must be up.

    ``key`` is asked of every request; it defaults to the environment variable
    ``serving.api_key_env``. Raises MedrError when the port is taken, a model is missing, or Serve
    already runs on this cluster.
    """
    from ray import serve
    from ray.serve.config import HTTPOptions

    host, port = config.serving.host, config.serving.port
    directories = served_directories(config, run)
    check_port(host, port)
    if serve.status().proxies:
        raise MedrError(
            "Ray Serve already runs on this cluster with an address of its own: "
            "`serve shutdown` ends it, or use another cluster"
        )
    gate = KeyGate.for_key(key or os.environ.get(config.serving.api_key_env))
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    quiet: dict[str, object] = {"log_level": "WARNING", "enable_access_log": False}
    serve.start(
        proxy_location="HeadOnly",
        http_options=HTTPOptions(host=host, port=port),
        logging_config=quiet,
    )
    try:
        _deploy(application(config, run, directories, gate), quiet)
        shown = f"[{host}]" if ":" in host else host
        yield ServedApplication(f"http://{shown}:{port}/v1", tuple(directories))
    finally:
        serve.shutdown()


def _deploy(application: "Application", logging_config: dict[str, object]) -> None:
    """Run the application; raises MedrError with what the replicas said when one cannot start."""
    from ray import serve

    try:
        serve.run(application, name=_NAME, route_prefix="/", logging_config=logging_config)
    except RuntimeError as error:
        failed = serve.status().applications.get(_NAME)
        said = (
            [f"{name}: {one.message}" for name, one in failed.deployments.items() if one.message]
            if failed
            else []
        )
        raise MedrError(f"the application did not start: {error} {' '.join(said)}") from error


def application(
    config: PipelineConfig,
    run: RunDirectory,
    directories: dict[str, str],
    gate: KeyGate,
) -> "Application":
    """Gateway, model and retriever, bound but not running. ``directories`` are model directories by
    served name."""
    from ray import serve

    from medr_ray.serving.gateway import Gateway
    from medr_ray.serving.model import ModelReplica

    serving = config.serving
    model = serve.deployment(
        name="model",
        num_replicas=serving.replicas,
        max_queued_requests=serving.max_queued,
        max_ongoing_requests=2 * serving.max_batch,
        ray_actor_options={"num_cpus": serving.num_cpus, "num_gpus": serving.num_gpus},
    )(ModelReplica).bind(directories, config.engine, serving, config.models.trust_remote_code)
    gateway = serve.deployment(
        name="gateway", max_ongoing_requests=_GATEWAY_REQUESTS, ray_actor_options={"num_cpus": 0}
    )(Gateway)
    return gateway.bind(model, _search(config, run), gate, tuple(directories))


def _search(config: PipelineConfig, run: RunDirectory) -> "Application | None":
    """The bound retriever, None where the run has no finished index."""
    from ray import serve

    from medr_ray.serving.retriever import SearchReplica

    index = run.stage("index")
    if index.manifest() is None:
        return None
    deployment = serve.deployment(name="search", ray_actor_options={"num_cpus": _SEARCH_CPUS})
    return deployment(SearchReplica).bind(index, config.retrieval, config.models)


def serve_forever(config: PipelineConfig, console: Console | None = None) -> None:
    """Serve the configured run until SIGINT or SIGTERM, on Ray as configured."""
    from medr_ray.core.session import ray_session

    console, done = console or Console(), threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: done.set())
    with ray_session(config.ray), serve_application(config, open_run(config)) as served:
        variable = config.serving.api_key_env
        locked = (
            f"with the key in {variable}"
            if os.environ.get(variable)
            else f"without a key ({variable} is unset)"
        )
        console.print(
            f"serving {', '.join(served.models)} at {served.base_url} {locked}; end with Ctrl-C",
            highlight=False,
        )
        done.wait()
