"""Starting and stopping the Serve application of a run: gateway, model and retriever on one
address.

The server is reachable when ``serve_application`` yields; on exit everything it started is shut
down. A port that is in use or a missing model is reported before anything starts.
"""

import contextlib
import errno
import logging
import random
import signal
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from medr_ray.core.config import PipelineConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.placement import Need, require_room
from medr_ray.core.run import RunDirectory, open_run
from medr_ray.engines.weights import model_path
from medr_ray.serving.keys import ApiKeyVerifier, require_key_beyond_loopback

if TYPE_CHECKING:
    from ray.serve import Application

_APPLICATION_NAME = "medr"
# A query is milliseconds of work; this leaves room for a model and an agent worker on 2 CPUs.
_SEARCH_CPUS = 0.5
# Attempts to start the retriever. What it lacks, an index or a setting, it lacks at the next one
# too: Serve's own three only keep the user waiting for the error.
_SEARCH_STARTS = 1
# The gateway only waits for replies, so it needs no limit of its own; overload is rejected by the
# model's queue.
_MAX_GATEWAY_REQUESTS = 10_000
# Requests a replica accepts per place in its batch, so that the next ones are already waiting there
# when a place becomes free.
_REQUESTS_PER_BATCH_PLACE = 2
# Port numbers to choose a free one from. Linux gives those from 32768 on to whoever asks for any,
# as a starting Ray does for dozens; 10002 to 19999 are for Ray's workers, 30000 to 32767 for the
# services of Kubernetes.
_FREE_PORTS = range(20_000, 30_000)
_PORT_ATTEMPTS = 100  # ports tried: on a host with half of them in use, one of 100 is free


@dataclass(frozen=True)
class ServedApplication:
    """A running application: its address (``http://host:port/v1``) and the names of its models."""

    base_url: str
    models: tuple[str, ...]


def find_weights_directories(config: PipelineConfig, run: RunDirectory) -> dict[str, str]:
    """Model directories of a run by name: base, then sft and grpo if those stages have written
    their models."""
    directories = {"base": str(model_path(config.models.policy))}
    for stage in ("sft", "grpo"):
        if run.stage(stage).exists("model/config.json"):
            directories[stage] = str(run.stage(stage).local / "model")
    return directories


def find_served_directories(config: PipelineConfig, run: RunDirectory) -> dict[str, str]:
    """Model directories by served name, ``serving.model_name`` first. Raises MedrError when the
    configured weights do not exist yet."""
    directories = find_weights_directories(config, run)
    weights_name = config.serving.weights
    if weights_name not in directories:
        # The names are in the order in which a run makes the models: base, sft, grpo.
        latest = list(directories)[-1]
        raise MedrError(
            f"{run.uri} has no {weights_name} model yet: run `medr run --until {weights_name}`, "
            f"or serve others with --set serving.weights={latest}"
        )
    return {config.serving.model_name: directories[weights_name], **directories}


def find_free_port(host: str = "127.0.0.1") -> int:
    """Returns a port on which nothing listens at the moment, by default on loopback. Raises
    MedrError when it finds none."""
    # Drawn by the operating system: two processes with one seed would draw the same port.
    chance = random.SystemRandom()
    for port in chance.sample(_FREE_PORTS, _PORT_ATTEMPTS):
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
        # The port is free again when the probe closes. Another process may take it before Serve
        # does, which ``check_port`` then reports.
        return port
    raise MedrError(f"no free port on {host}: {_PORT_ATTEMPTS} were tried, and all are in use")


def check_port(host: str, port: int) -> None:
    """Raises MedrError when something already listens there."""
    with socket.socket() as probe:
        # A port whose last connections are still closing down counts as free.
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
    api_key: str | None = None,
) -> Iterator[ServedApplication]:
    """Serve the run's models and index at ``serving.host`` and ``serving.port``; Ray must be up.

    Every request must carry ``api_key``, which defaults to the value of the environment variable
    that ``serving.api_key_env`` names. Without either, no key is required on loopback, and the
    service is refused elsewhere. Raises MedrError when the port is in use, a model is missing,
    Serve already runs on this cluster, or the cluster has no room for the replicas.
    """
    from ray import serve
    from ray.serve.config import HTTPOptions

    host = config.serving.host
    port = config.serving.port
    variable = config.serving.api_key_env
    verifier = ApiKeyVerifier.for_key(api_key)
    if verifier.digest is None:
        verifier = ApiKeyVerifier.from_environment(variable)
    require_key_beyond_loopback(host, verifier, variable)
    directories = find_served_directories(config, run)
    check_port(host, port)
    # serve.start ignores other HTTP options when Serve is already up, so ours would be lost.
    if serve.status().proxies:
        raise MedrError(
            "Ray Serve already runs on this cluster with an address of its own: "
            "`serve shutdown` ends it, or use another cluster"
        )
    require_room(list_serving_needs(config, run), config.ray)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    logging_config: dict[str, object] = {"log_level": "WARNING", "enable_access_log": False}
    # Call this before ``serve.run``, which accepts no HTTP options and would start Serve with its
    # defaults. It is outside of the ``try`` because there is nothing to shut down until Serve has
    # started.
    serve.start(
        proxy_location="HeadOnly",
        http_options=HTTPOptions(host=host, port=port),
        logging_config=logging_config,
    )
    try:
        _run_application(bind_application(config, run, directories, verifier), logging_config)
        # An IPv6 address stands in brackets in a URL.
        url_host = f"[{host}]" if ":" in host else host
        yield ServedApplication(f"http://{url_host}:{port}/v1", tuple(directories))
    finally:
        serve.shutdown()


def list_serving_needs(config: PipelineConfig, run: RunDirectory) -> list[Need]:
    """What the application must have at the same time."""
    serving = config.serving
    resources = {"CPU": serving.num_cpus, "GPU": serving.num_gpus}
    settings = {
        "CPU": ["serving.replicas", "serving.num_cpus"],
        "GPU": ["serving.replicas", "serving.num_gpus"],
    }
    needs = [Need("the served model", resources, serving.replicas, settings)]
    if run.stage("index").manifest() is not None:
        needs.append(Need("the retriever", {"CPU": _SEARCH_CPUS}))
    return needs


def _run_application(application: "Application", logging_config: dict[str, object]) -> None:
    """Run the application. Raises MedrError with the replicas' messages when one cannot start."""
    from ray import serve

    try:
        serve.run(
            application, name=_APPLICATION_NAME, route_prefix="/", logging_config=logging_config
        )
    except RuntimeError as error:
        messages = " ".join(_read_deployment_messages())
        raise MedrError(f"the application did not start: {error} {messages}") from error


def _read_deployment_messages() -> list[str]:
    """Returns "name: message" for each deployment about which Serve reports a message."""
    from ray import serve

    application = serve.status().applications.get(_APPLICATION_NAME)
    if application is None:
        return []
    return [
        f"{name}: {deployment.message}"
        for name, deployment in application.deployments.items()
        if deployment.message
    ]


def bind_application(
    config: PipelineConfig,
    run: RunDirectory,
    directories: dict[str, str],
    verifier: ApiKeyVerifier,
) -> "Application":
    """Bind gateway, model and retriever into an application that does not run yet. ``directories``
    are model directories by served name."""
    from ray import serve

    from medr_ray.serving.gateway import Gateway
    from medr_ray.serving.model import ModelReplica

    serving = config.serving
    model = serve.deployment(
        name="model",
        num_replicas=serving.replicas,
        # Counted by the gateway's handle, which raises BackPressureError beyond it: status 429.
        max_queued_requests=serving.max_queued,
        max_ongoing_requests=_REQUESTS_PER_BATCH_PLACE * serving.max_batch,
        ray_actor_options={"num_cpus": serving.num_cpus, "num_gpus": serving.num_gpus},
    )(ModelReplica).bind(directories, config.engine, serving, config.models.trust_remote_code)
    gateway = serve.deployment(
        name="gateway",
        max_ongoing_requests=_MAX_GATEWAY_REQUESTS,
        ray_actor_options={"num_cpus": 0},
    )(Gateway)
    return gateway.bind(model, _bind_search(config, run), verifier, tuple(directories))


def _bind_search(config: PipelineConfig, run: RunDirectory) -> "Application | None":
    """The bound retriever; None when the run has no finished index."""
    from ray import serve

    from medr_ray.serving.retriever import SearchReplica

    # Chat is served without an index too: the search paths then answer 404.
    index = run.stage("index")
    if index.manifest() is None:
        return None
    deployment = serve.deployment(
        name="search",
        ray_actor_options={"num_cpus": _SEARCH_CPUS},
        max_constructor_retry_count=_SEARCH_STARTS,
    )
    return deployment(SearchReplica).bind(index, config.retrieval, config.models)


def serve_forever(config: PipelineConfig, console: Console | None = None) -> None:
    """Serve the configured run until SIGINT or SIGTERM, on Ray as configured."""
    from medr_ray.core.session import ray_session

    console = console or Console()
    variable = config.serving.api_key_env
    verifier = ApiKeyVerifier.from_environment(variable)
    # Before Ray takes its time to start.
    require_key_beyond_loopback(config.serving.host, verifier, variable)
    stop_requested = threading.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, lambda *_: stop_requested.set())
    with ray_session(config.ray), serve_application(config, open_run(config)) as served:
        access = f"with the key in {variable}"
        if verifier.digest is None:
            access = f"without a key ({variable} is unset)"
        models = ", ".join(served.models)
        console.print(
            f"serving {models} at {served.base_url} {access}; end with Ctrl-C", highlight=False
        )
        # Serve works in processes of its own. This one only waits, and shuts it down at the end.
        stop_requested.wait()
