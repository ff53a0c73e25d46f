"""Starting and stopping the Serve application of a run: gateway, model and retriever on one
address.

The server is reachable when ``serve_application`` yields; on exit everything it started is shut
down. A port that is in use or a missing model is reported before anything starts.
"""

import contextlib
import errno
import hashlib
import logging
import random
import secrets
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import medr_ray
from medr_ray.core.config import PipelineConfig, ServingConfig
from medr_ray.core.errors import MedrError
from medr_ray.core.placement import Need, require_room
from medr_ray.core.records import canonical_json
from medr_ray.core.run import RunDirectory
from medr_ray.engines.weights import find_trained_directories, model_path
from medr_ray.serving.http.errors import RETRY_AFTER_SECONDS
from medr_ray.serving.job_preparation import ToolSettings
from medr_ray.serving.keys import KeySource, require_key_beyond_loopback
from medr_ray.serving.names import (
    APPLICATION_NAME,
    GATEWAY_DEPLOYMENT,
    MODEL_DEPLOYMENT,
    SERVE_ENVIRONMENT,
)
from medr_ray.serving.replicas import count_running_replicas
from medr_ray.serving.shutdown import drain_gateway, shut_down_serve

if TYPE_CHECKING:
    from ray.serve import Application

_LOGGING: Mapping[str, Any] = {"log_level": "WARNING", "enable_access_log": False}
# A query is milliseconds of work; this leaves room for a model and an agent worker on 2 CPUs.
_SEARCH_CPUS = 0.5
# Attempts to start the retriever. What it lacks, an index or a setting, it lacks at the next one
# too: Serve's own three only keep the user waiting for the error.
_SEARCH_STARTS = 1
# Requests beside those to the model, such as searches, that the gateway works on and keeps waiting:
# many more than it can answer in time, few enough to hold in memory. Serve refuses what exceeds
# them.
_OTHER_GATEWAY_REQUESTS = 512
_QUEUED_GATEWAY_REQUESTS = 512
# Beside the questions in progress: diagnoses, and questions that are refused.
_OTHER_RESEARCH_REQUESTS = 64
_QUEUED_SEARCHES = 64  # searches that wait before more are refused with status 429
# Over which Serve averages its requests. A longer time only adds to serving.upscale_seconds and
# serving.downscale_seconds, and Serve will refuse one that is not above 10.
_LOAD_AVERAGE_SECONDS = 10.5
# Serve's health check of a replica: its event loop must answer within the time-out, in seconds.
# One that does not is replaced.
_HEALTH_PERIOD_SECONDS = 5.0
_HEALTH_TIMEOUT_SECONDS = 30.0
# What Serve's own time limit waits for beyond the gateway's, which answers in OpenAI's form.
_REQUEST_GRACE_SECONDS = 15.0
# Requests a replica accepts per place in its batch, so that the next ones are already waiting there
# when a place becomes free.
_REQUESTS_PER_BATCH_PLACE = 2
# Port numbers to choose a free one from. Linux gives those from 32768 on to whoever asks for any,
# as a starting Ray does for dozens; 10002 to 19999 are for Ray's workers, 30000 to 32767 for the
# services of Kubernetes.
_FREE_PORTS = range(20_000, 30_000)
_PORT_ATTEMPTS = 100  # ports tried: on a host with half of them in use, one of 100 is free


@dataclass
class ServedApplication:
    """A running application: its address (``http://host:port/v1``) and the names of its models."""

    base_url: str
    _directories: dict[str, str] = field(repr=False)
    _config: PipelineConfig = field(repr=False)
    _run: RunDirectory = field(repr=False)
    _keys: KeySource = field(repr=False)
    _drain_token: str = field(repr=False)
    # The directory that answers under the first name instead of the configured one.
    _weights: str | None = field(default=None, repr=False)

    @property
    def models(self) -> tuple[str, ...]:
        """The names of the models."""
        return tuple(self._directories)

    def swap_weights(self, weights: str) -> None:
        """Answer under the first name with a model of the run, by its name, or of a directory.

        Requests in progress end with the weights they began with. Returns when every replica
        answers with the new ones. Raises MedrError; the service then has the weights it had.
        """
        directory = find_model_directory(self._config, self._run, weights)
        try:
            self._run_with(directory)
        except MedrError:
            self._run_with(self._weights)
            raise
        self._weights = directory

    def _run_with(self, weights: str | None) -> None:
        """Bring the application up to date: only its weights differ."""
        run_application(
            bind_application(
                self._config,
                self._run,
                self._directories,
                self._keys,
                weights=weights,
                drain_digest=_hash_token(self._drain_token),
            )
        )

    def count_replicas(self) -> int:
        """The model's replicas that answer at the moment."""
        return count_running_replicas()


def find_weights_directories(config: PipelineConfig, run: RunDirectory) -> dict[str, str]:
    """Model directories of a run by name: base, then sft and grpo if those stages have written
    their models."""
    return {"base": str(model_path(config.models.policy)), **find_trained_directories(run)}


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


def find_model_directory(config: PipelineConfig, run: RunDirectory, weights: str) -> str:
    """The directory of the run's model of that name (base, sft, grpo), or of a model's directory
    given by its path. Raises MedrError."""
    directories = find_weights_directories(config, run)
    if weights in directories:
        return directories[weights]
    folder = Path(weights).absolute()
    if not (folder / "config.json").is_file():
        names = ", ".join(directories)
        raise MedrError(f"{weights!r} is no model: there are {names}, and {folder} holds none")
    return str(folder)


def build_tool_settings(config: PipelineConfig, directories: Mapping[str, str]) -> ToolSettings:
    """How the served models are shown tools: those that the run trained know the agent's text
    protocol, with the prompt they were trained on."""
    base = str(model_path(config.models.policy))
    taught = frozenset(name for name, directory in directories.items() if directory != base)
    return ToolSettings(config.serving.tool_style, config.agent.prompt, taught)


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

    host = config.serving.host
    port = config.serving.port
    keys = KeySource.for_key(api_key or "")
    if not keys.environment_keys:
        keys = KeySource.from_config(config.serving)
    require_key_beyond_loopback(host, keys.read(), config.serving.api_key_env)
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
    # An IPv6 address stands in brackets in a URL.
    url_host = f"[{host}]" if ":" in host else host
    base_url = f"http://{url_host}:{port}/v1"
    token = secrets.token_urlsafe()
    try:
        # Call this before ``serve.run``, which accepts no HTTP options and would start Serve with
        # its defaults. Where it fails, it leaves Serve's controller running.
        serve.start(
            proxy_location="HeadOnly",
            http_options=build_http_options(config),
            controller_options=build_controller_options(),
            logging_config=dict(_LOGGING),
        )
        run_application(
            bind_application(config, run, directories, keys, drain_digest=_hash_token(token))
        )
        yield ServedApplication(base_url, directories, config, run, keys, token)
    finally:
        drain_gateway(base_url, token, config.serving.drain_seconds)
        shut_down_serve()


def _hash_token(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def build_http_options(config: PipelineConfig) -> dict[str, Any]:
    """Where Serve listens, and its time limits."""
    serving = config.serving
    return {
        "host": serving.host,
        "port": serving.port,
        "keep_alive_timeout_s": serving.idle_seconds,
        "request_timeout_s": serving.request_seconds + _REQUEST_GRACE_SECONDS,
    }


def build_controller_options() -> dict[str, Any]:
    """What Serve's controller and the proxies that it starts have in their environment."""
    return {"runtime_env": {"env_vars": dict(SERVE_ENVIRONMENT)}}


def _build_replica_options(config: PipelineConfig) -> dict[str, float]:
    """What a replica takes from Ray; vLLM is an actor beside it, and takes that itself."""
    if config.engine.backend == "vllm":
        return {"num_cpus": 0, "num_gpus": 0}
    return {"num_cpus": config.serving.num_cpus, "num_gpus": config.serving.num_gpus}


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


def run_application(application: "Application") -> None:
    """Run the application, or bring the one that runs up to date. Raises MedrError with the
    replicas' messages when one cannot start."""
    from ray import serve

    try:
        serve.run(
            application, name=APPLICATION_NAME, route_prefix="/", logging_config=dict(_LOGGING)
        )
    except RuntimeError as error:
        messages = " ".join(_read_deployment_messages())
        raise MedrError(f"the application did not start: {error} {messages}") from error


def _read_deployment_messages() -> list[str]:
    """Returns "name: message" for each deployment about which Serve reports a message."""
    from ray import serve

    application = serve.status().applications.get(APPLICATION_NAME)
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
    keys: KeySource,
    *,
    weights: str | None = None,
    drain_digest: str | None = None,
) -> "Application":
    """Bind gateway, model and retriever into an application that does not run yet.

    ``directories`` are model directories by served name. ``weights`` is the directory that answers
    under the first of them instead; nothing else is started anew where an application that runs
    gets another one. ``drain_digest`` is the SHA-256 of the token that ends the service.
    """
    from ray import serve
    from ray.serve.config import BackpressureConfig

    from medr_ray.serving.gateway import Gateway, GatewayLimits
    from medr_ray.serving.model import ModelReplica

    serving = config.serving
    max_ongoing = _REQUESTS_PER_BATCH_PLACE * serving.max_batch
    backpressure = BackpressureConfig(status_code=429, retry_after_s=RETRY_AFTER_SECONDS)
    # What is equal keeps its processes, whatever Serve would make of two objects that are.
    version = _hash_definition(config, directories, keys)
    model = serve.deployment(
        name=MODEL_DEPLOYMENT,
        **_build_scaling(serving),
        # The gateway counts the places. Its handle counts requests as waiting that are only on
        # their way, and raises BackPressureError beyond this: status 429 too.
        max_queued_requests=serving.max_queued + max_ongoing,
        max_ongoing_requests=max_ongoing,
        backpressure_config=backpressure,
        user_config={"weights": weights},
        graceful_shutdown_timeout_s=serving.drain_seconds,
        health_check_period_s=_HEALTH_PERIOD_SECONDS,
        health_check_timeout_s=_HEALTH_TIMEOUT_SECONDS,
        ray_actor_options=_build_replica_options(config),
    )(ModelReplica).options(version=version, _internal=True)
    bound_model = model.bind(
        directories,
        config.engine,
        serving,
        config.models.trust_remote_code,
        build_tool_settings(config, directories),
    )
    places = (serving.max_replicas or serving.replicas) * max_ongoing + serving.max_queued
    gateway = serve.deployment(
        name=GATEWAY_DEPLOYMENT,
        max_ongoing_requests=places + _OTHER_GATEWAY_REQUESTS,
        max_queued_requests=_QUEUED_GATEWAY_REQUESTS,
        backpressure_config=backpressure,
        graceful_shutdown_timeout_s=serving.drain_seconds,
        ray_actor_options={"num_cpus": 0},
    )(Gateway).options(version=version, _internal=True)
    limits = GatewayLimits(max_ongoing, serving.max_queued, serving.request_seconds, drain_digest)
    return gateway.bind(
        bound_model,
        _bind_search(config, run, version),
        keys,
        tuple(directories),
        limits,
        _bind_research(config, run, bound_model, version),
        serving.agent_name,
    )


def _build_scaling(serving: ServingConfig) -> dict[str, Any]:
    """The number of replicas: fixed, or between two by the load."""
    max_replicas = serving.max_replicas or serving.replicas
    if max_replicas == serving.replicas:
        return {"num_replicas": serving.replicas}
    return {
        "autoscaling_config": {
            "min_replicas": serving.replicas,
            "max_replicas": max_replicas,
            # Requests beyond one batch wait for it.
            "target_ongoing_requests": serving.max_batch,
            "upscale_delay_s": serving.upscale_seconds,
            "downscale_delay_s": serving.downscale_seconds,
            "look_back_period_s": _LOAD_AVERAGE_SECONDS,
        }
    }


def _hash_definition(config: PipelineConfig, directories: dict[str, str], keys: KeySource) -> str:
    """A name for the application that is the same where the application is."""
    definition = {
        "version": medr_ray.__version__,
        "config": config.model_dump(mode="json"),
        "directories": directories,
        "keys": [key.model_dump(mode="json") for key in keys.environment_keys],
    }
    return hashlib.sha256(canonical_json(definition).encode()).hexdigest()


def _bind_search(config: PipelineConfig, run: RunDirectory, version: str) -> "Application | None":
    """The bound retriever; None when the run has no finished index."""
    from ray import serve
    from ray.serve.config import BackpressureConfig

    from medr_ray.serving.retriever import SEARCHES_AT_ONCE, SearchReplica

    # Chat is served without an index too: the search paths then answer 404.
    index = run.stage("index")
    if index.manifest() is None:
        return None
    deployment = serve.deployment(
        name="search",
        ray_actor_options={"num_cpus": _SEARCH_CPUS},
        max_constructor_retry_count=_SEARCH_STARTS,
        max_ongoing_requests=SEARCHES_AT_ONCE,
        max_queued_requests=_QUEUED_SEARCHES,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=RETRY_AFTER_SECONDS),
    )
    replica = deployment(SearchReplica).options(version=version, _internal=True)
    return replica.bind(index, config.retrieval, config.models)


def _bind_research(
    config: PipelineConfig, run: RunDirectory, model: "Application", version: str
) -> "Application | None":
    """The bound replica that researches; None when there is nothing to search."""
    from ray import serve
    from ray.serve.config import BackpressureConfig

    from medr_ray.serving.research import ResearchReplica

    if run.stage("index").manifest() is None and not config.tools.live.sources:
        return None
    deployment = serve.deployment(
        name="research",
        # It refuses what is beyond serving.max_researches itself, at once.
        max_ongoing_requests=config.serving.max_researches + _OTHER_RESEARCH_REQUESTS,
        max_queued_requests=_OTHER_RESEARCH_REQUESTS,
        backpressure_config=BackpressureConfig(status_code=429, retry_after_s=RETRY_AFTER_SECONDS),
        graceful_shutdown_timeout_s=config.serving.drain_seconds,
        # It waits for the model and for sources most of the time.
        ray_actor_options={"num_cpus": 0},
    )
    replica = deployment(ResearchReplica).options(version=version, _internal=True)
    return replica.bind(model, config, run)
